import { describe, expect, it } from "vitest";
import { importCycles } from "../helpers/repo/import-cycles.ts";
import { readSources } from "../helpers/repo/sandbox.ts";

describe("import cycles", () => {
  it("are absent from src", () => {
    expect(importCycles(readSources(["src"]))).toEqual([]);
  });

  it("are found through import(), types and re-exports", () => {
    const sources = {
      "src/a.ts": 'export const load = async () => await import("./b/late.ts");\n',
      "src/b/late.ts": 'import type { A } from "../a.ts";\nexport const late: A = 1;\n',
      "src/c.ts": 'export * from "./d.ts";\n',
      "src/d.ts": 'export type C = import("./c.ts").C;\n',
      "src/e.ts": 'export * from "./a.ts";\nimport "node:fs";\n',
    };
    expect(importCycles(sources)).toEqual([
      ["src/a.ts", "src/b/late.ts"],
      ["src/c.ts", "src/d.ts"],
    ]);
  });
});
