import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { configurationPage } from "../../scripts/generate/configuration.ts";
import { conformancePage } from "../../scripts/generate/conformance.ts";
import { errorsPage } from "../../scripts/generate/errors.ts";
import { lifecyclePage } from "../../scripts/generate/lifecycle.ts";
import { openApiFile } from "../../scripts/generate/openapi.ts";
import { pythonTypes } from "../../scripts/generate/python-types.ts";
import { schemaFile } from "../../scripts/generate/schema.ts";
import { DASHBOARDS, dashboardFile } from "../../scripts/grafana/dashboards.ts";

describe("generated files", () => {
  it.each<[path: string, make: () => string | Promise<string>]>([
    ["schema/transcribe.json", () => schemaFile("transcribe")],
    ["schema/convert.json", () => schemaFile("convert")],
    ["schema/openapi.json", openApiFile],
    ["clients/python/src/mirumoji_client/types.py", pythonTypes],
    ["docs/lifecycle.md", lifecyclePage],
    ["docs/errors.md", errorsPage],
    ["docs/configuration.md", configurationPage],
    ["docs/conformance.md", conformancePage],
    ...Object.entries(DASHBOARDS).map(([name, dashboard]): [string, () => string] => [
      `grafana/dashboards/${name}.json`,
      () => dashboardFile(dashboard),
    ]),
  ])("%s is what the code says", async (path, make) => {
    expect(await readFile(new URL(`../../${path}`, import.meta.url), "utf8")).toBe(await make());
  });
});
