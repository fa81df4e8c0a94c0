import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sandbox, type Sandbox } from "../helpers/repo/sandbox.ts";

const SETTINGS = [
  "scripts/build.js",
  "tsconfig.json",
  "tsconfig.build.json",
  "package.json",
  "package-lock.json",
];
const FILES = {
  "src/cli.ts": 'import { one } from "./job/one.ts";\nexport const two: number = one + 1;\n',
  "src/job/one.ts": "export const one = 1;\n",
  "src/queue/write.lua": "return 1\n",
  "src/gpu-host/subset.proto": 'syntax = "proto3";\n',
};

function build(box: Sandbox, ...args: string[]) {
  return box.run(process.execPath, ["scripts/build.js", ...args]);
}

function built(box: Sandbox, path: string): string {
  return readFileSync(join(box.folder, "dist", path), "utf8");
}

it("compiles, rewrites import extensions and copies what is not TypeScript", () => {
  const box = sandbox(SETTINGS, FILES);
  expect(build(box)).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(built(box, "cli.js")).toContain('from "./job/one.js"');
  expect(built(box, "cli.d.ts")).toContain("two: number");
  expect(built(box, "queue/write.lua")).toBe(FILES["src/queue/write.lua"]);
  expect(built(box, "gpu-host/subset.proto")).toBe(FILES["src/gpu-host/subset.proto"]);
});

it("builds again only when a file has changed, and removes what has no source any more", () => {
  const box = sandbox(SETTINGS, FILES);
  const builtAt = () => statSync(join(box.folder, "dist/.build.json")).mtimeMs;
  build(box);
  const first = builtAt();
  build(box);
  expect(builtAt()).toBe(first);

  rmSync(join(box.folder, "src/job/one.ts"));
  box.write({ "src/cli.ts": "export const two = 2;\n" });
  expect(build(box).status).toBe(0);
  expect(builtAt()).toBeGreaterThan(first);
  expect(existsSync(join(box.folder, "dist/job/one.js"))).toBe(false);
});

it("leaves dist alone when the types are wrong, unless it is told not to look at them", () => {
  const box = sandbox(SETTINGS, FILES);
  build(box);
  box.write({ "src/job/one.ts": 'export const one: number = "one";\n' });
  const { status, stderr } = build(box);
  expect(status).toBe(1);
  expect(stderr).toContain("src/job/one.ts(1,14): error TS2322");
  expect(built(box, "job/one.js")).toContain("one = 1");

  expect(build(box, "--no-check").status).toBe(0);
  expect(built(box, "job/one.js")).toContain('one = "one"');
  expect(build(box).status, "a build without type checks does not pass for one with them").toBe(1);
});

it("does nothing where there is no compiler but a build, and says so where there is neither", () => {
  const box = sandbox(SETTINGS, FILES);
  build(box);
  rmSync(join(box.folder, "node_modules"));
  box.write({ "src/job/one.ts": "export const one = 3;\n" });
  expect(build(box)).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(built(box, "job/one.js")).toContain("one = 1");

  rmSync(join(box.folder, "dist"), { recursive: true });
  const { status, stderr } = build(box);
  expect(status).toBe(1);
  expect(stderr).toContain("npm ci");
});
