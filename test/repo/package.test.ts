import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join, posix } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../helpers/repo/sandbox.ts";

interface Package {
  readonly dependencies: Record<string, string>;
  readonly exports: Record<string, string | Record<string, string>>;
  readonly allowScripts: Record<string, boolean>;
}

interface Lock {
  readonly packages: Record<
    string,
    {
      version?: string;
      resolved?: string;
      hasInstallScript?: boolean;
      optionalDependencies?: Record<string, string>;
    }
  >;
}

const read = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = JSON.parse(read("package.json")) as Package;
const lock = JSON.parse(read("package-lock.json")) as Lock;

/** Folders in `.gitignore`; a copy without Git has to pass as well. */
const IGNORED = ["node_modules", "dist", ".git", ".mirumoji", "coverage", "test-results", "__pycache__"];

function files(folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (IGNORED.includes(entry.name) || entry.name.endsWith(".log")) return [];
    if (entry.isDirectory()) return files(path);
    return entry.isFile() ? [path] : [];
  });
}

describe("package.json", () => {
  it("pins the modal package of Modal Labs, not the widget that is npm's latest", async () => {
    expect(manifest.dependencies["modal"]).toBe("0.11.1");
    const { ModalClient } = await import("modal");
    expect(ModalClient).toBeTypeOf("function");
  });

  it("exports files that the build makes", () => {
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === "string" ? [target] : Object.values(target),
    );
    const missing = targets.filter((path) => !path.includes("*") && !existsSync(join(root, path)));
    expect(missing).toEqual([]);
  });

  it("decides about every install script of a dependency", () => {
    const withScript = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
    const names = withScript.map(([path]) => path.slice(path.lastIndexOf("node_modules/") + 13));
    const undecided = [...new Set(names)].filter((name) => !(name in manifest.allowScripts));
    // fsevents is for macOS alone, where npm skips its script of its own accord.
    expect(undecided.filter((name) => name !== "fsevents")).toEqual([]);
  });
});

describe("package-lock.json", () => {
  it("names no registry, so that everybody's own is used", () => {
    expect(Object.values(lock.packages).filter(({ resolved }) => resolved !== undefined)).toEqual([]);
  });

  it("has every optional package of every platform, without which npm ci refuses it", () => {
    const missing: string[] = [];
    for (const [path, { optionalDependencies = {} }] of Object.entries(lock.packages)) {
      for (const name of Object.keys(optionalDependencies)) {
        if (!isLocked(path, name)) missing.push(`${path} > ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });
});

/** Looks where Node would: in the package's own `node_modules`, then further and further out. */
function isLocked(path: string, name: string): boolean {
  for (let from = path; ; from = from.slice(0, Math.max(0, from.lastIndexOf("/node_modules/")))) {
    if (lock.packages[`${from === "" ? "" : `${from}/`}node_modules/${name}`]?.version) return true;
    if (from === "") return false;
  }
}

describe("the sources", () => {
  it("stay short enough to be read in one go", () => {
    const sources = files().filter((path) => path.startsWith("src/") && path.endsWith(".ts"));
    expect(sources.length).toBeGreaterThan(0);
    const lengths = sources.map((path) => ({ path, lines: read(path).split("\n").length - 1 }));
    expect(lengths.filter(({ lines }) => lines > 300)).toEqual([]);
  });

  it("leave nothing to be done later", () => {
    const word = new RegExp(`\\b(${["TO", "FIX"].join("DO|")}ME)\\b`);
    const isText = (path: string) => !/\.(png|jpg|wav|mp4|mkv|bin|gz|jsonl)$/.test(extname(path));
    const checked = files().filter((path) => isText(path) && path !== "package-lock.json");
    expect(checked.filter((path) => word.test(read(path)))).toEqual([]);
  });
});
