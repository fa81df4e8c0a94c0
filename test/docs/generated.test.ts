import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { configurationPage } from "../../scripts/generate/configuration.ts";
import { errorsPage } from "../../scripts/generate/errors.ts";
import { lifecyclePage } from "../../scripts/generate/lifecycle.ts";
import { schemaFile } from "../../scripts/generate/schema.ts";

describe("generated files", () => {
  it.each([
    ["schema/transcribe.json", () => schemaFile("transcribe")],
    ["schema/convert.json", () => schemaFile("convert")],
    ["docs/lifecycle.md", lifecyclePage],
    ["docs/errors.md", errorsPage],
    ["docs/configuration.md", configurationPage],
  ])("%s is what the code says", async (path, make) => {
    expect(await readFile(new URL(`../../${path}`, import.meta.url), "utf8")).toBe(make());
  });
});
