import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chartSchema } from "./generate/chart-schema.ts";
import { composeFile } from "./generate/compose.ts";
import { configurationPage } from "./generate/configuration.ts";
import { conformancePage } from "./generate/conformance.ts";
import { errorsPage } from "./generate/errors.ts";
import { lifecyclePage } from "./generate/lifecycle.ts";
import { openApiFile } from "./generate/openapi.ts";
import { pythonTypes } from "./generate/python-types.ts";
import { schemaFile } from "./generate/schema.ts";
import { DASHBOARDS, dashboardFile } from "./grafana/dashboards.ts";

/** Generated files, with the function that makes each. */
const GENERATED: Record<string, () => string | Promise<string>> = {
  "schema/transcribe.json": () => schemaFile("transcribe"),
  "schema/convert.json": () => schemaFile("convert"),
  "schema/openapi.json": openApiFile,
  "charts/mirumoji-worker/values.schema.json": chartSchema,
  "docker-compose.yml": composeFile,
  "clients/python/src/mirumoji_client/types.py": pythonTypes,
  "docs/lifecycle.md": lifecyclePage,
  "docs/errors.md": errorsPage,
  "docs/configuration.md": configurationPage,
  "docs/conformance.md": conformancePage,
  ...Object.fromEntries(
    Object.entries(DASHBOARDS).map(([name, dashboard]) => [
      `grafana/dashboards/${name}.json`,
      () => dashboardFile(dashboard),
    ]),
  ),
};

const { values } = parseArgs({ options: { check: { type: "boolean" }, only: { type: "string" } } });
const root = new URL("../", import.meta.url);
const wanted = Object.entries(GENERATED).filter(([path]) => path.startsWith(values.only ?? ""));
const stale: string[] = [];
for (const [path, make] of wanted) {
  const file = fileURLToPath(new URL(path, root));
  const text = await make();
  if (values.check === true) {
    if ((await readFile(file, "utf8").catch(() => null)) !== text) stale.push(path);
  } else {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}
if (stale.length > 0) {
  process.stderr.write(`out of date: ${stale.join(", ")}; run npm run generate\n`);
  process.exitCode = 1;
}
