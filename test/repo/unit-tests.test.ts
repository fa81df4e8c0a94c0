import { execFile, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { describe, expect, it } from "vitest";
import config from "../../vitest.config.ts";
import { readSources } from "../helpers/repo/sandbox.ts";

/** This file is a unit test, so the guard holds in it. */
describe("unit tests", () => {
  it.each<[string, () => unknown]>([
    ["spawn", () => spawn("true")],
    ["spawnSync", () => spawnSync("true")],
    ["execFile", () => execFile("true")],
    ["listen", () => createServer().listen(0)],
    ["listen", () => createTcpServer().listen(0)],
  ])("fail when they call %s", (_name, start) => {
    expect(start).toThrow(/NEEDS_PROCESSES of vitest.config.ts/u);
  });

  it("leave out only tests that are there", () => {
    const [, processes] = config.test?.projects ?? [];
    if (typeof processes !== "object" || !("test" in processes)) throw new Error("no second project");
    const names = Object.keys(readSources(["test"], [".test.ts"]));
    const listed = (processes.test?.include ?? []).flatMap((pattern) => {
      const [, before = "", choices = "", after = ""] = /^(.*)\{(.*)\}(.*)$/u.exec(pattern) ?? [];
      return choices.split(",").map((choice) => `${before}${choice}${after}`);
    });
    const missing = listed.filter((pattern) => !names.some((name) => matches(name, pattern)));
    expect(listed.length).toBeGreaterThan(20);
    expect(missing).toEqual([]);
  });
});

function matches(path: string, pattern: string): boolean {
  const regex = pattern
    .replaceAll(".", "\\.")
    .replaceAll("**/", "(?:.+/)?")
    .replace(/\*(?!\/)/u, "[^/]*");
  return new RegExp(`^${regex}$`, "u").test(path);
}
