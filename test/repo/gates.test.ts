import { readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { root, sandbox, sourceFolders } from "../helpers/repo/sandbox.ts";

/*
 * Breaks every gate on purpose, with the repository's own settings: a gate that stopped looking would
 * otherwise pass for ever.
 */

/** Folders from the top layer to the bottom one. */
const FOLDERS = [
  "cli",
  "compose",
  "http",
  "gpu-host",
  "pool",
  "runner",
  "steps",
  "modal",
  "queue",
  "media",
  "client",
  "telemetry",
  "config",
  "llm",
  "net",
  "ports",
  "subtitles",
  "job",
] as const;
type Folder = (typeof FOLDERS)[number];

/** Folders below that may not be imported all the same. */
const APART: Partial<Record<Folder, readonly Folder[]>> = {
  http: ["gpu-host"],
  "gpu-host": ["pool", "runner", "steps", "modal", "queue"],
  steps: ["modal", "queue", "media"],
  ports: ["subtitles"],
};

function mayImport(from: Folder, to: Folder): boolean {
  return FOLDERS.indexOf(from) < FOLDERS.indexOf(to) && !APART[from]?.includes(to);
}

interface Report {
  readonly diagnostics: readonly {
    readonly filename: string;
    readonly code?: string;
    readonly message: string;
  }[];
}

/** Lints the files with our settings; answers `path rule` for each finding. */
function lint(files: Record<string, string>): string[] {
  const box = sandbox([".oxlintrc.json", "tsconfig.json", "package.json"], files);
  const folders = new Set(Object.keys(files).map((path) => path.split("/")[0] ?? path));
  const { stdout, stderr } = box.tool(
    "oxlint",
    "--type-aware",
    "--deny-warnings",
    "--format=json",
    ...folders,
  );
  expect(stderr).toBe("");
  const { diagnostics } = JSON.parse(stdout) as Report;
  const found = diagnostics.map(({ filename, code, message }) => {
    const path = relative(box.folder, resolve(box.folder, filename)).replaceAll("\\", "/");
    return `${path} ${code ?? message}`;
  });
  return [...new Set(found)].toSorted();
}

const IMPORTS = "eslint(no-restricted-imports)";

describe("the direction of imports", () => {
  it("knows every folder of src", () => {
    expect(sourceFolders().toSorted()).toEqual([...FOLDERS].toSorted());
  });

  it("reports each import that points upwards or aside, and no other", () => {
    const files: Record<string, string> = {};
    const wrong: string[] = [];
    const add = (path: string, specifier: string, isAllowed: boolean) => {
      files[path] = `export * from "${specifier}";\n`;
      if (!isAllowed) wrong.push(`${path} ${IMPORTS}`);
    };
    for (const from of FOLDERS) {
      files[`src/${from}/one.ts`] = "export const one = 1;\n";
      for (const to of FOLDERS) {
        if (to !== from) add(`src/${from}/to-${to}.ts`, `../${to}/one.ts`, mayImport(from, to));
      }
    }
    add("src/gpu-host/rpc/to-http.ts", "../../http/one.ts", false);
    add("src/gpu-host/rpc/to-queue.ts", "../../queue/one.ts", false);
    add("src/index.ts", "./gpu-host/one.ts", false);
    add("src/worker.ts", "./cli/one.ts", false);
    expect(lint(files)).toEqual(wrong.toSorted());
  });

  it("leaves the GPU host its own http folder", () => {
    const files = {
      "src/gpu-host/http/one.ts": "export const one = 1;\n",
      "src/gpu-host/rpc/own.ts": 'export * from "../http/one.ts";\n',
    };
    expect(lint(files)).toEqual([]);
  });

  it("keeps libraries behind their adapter and Node out of job/", () => {
    const files = {
      "src/http/board.ts": 'export * from "@bull-board/api/bullMQAdapter";\n',
      "src/http/queue.ts": 'export type { Queue } from "bullmq";\n',
      "src/runner/redis.ts": 'export type { Redis } from "ioredis";\n',
      "src/worker.ts": 'export { ModalClient } from "modal";\n',
      "src/gpu-host/types.ts": 'export type { ModalClient } from "modal";\n',
      "src/gpu-host/value.ts": 'export { ModalClient } from "modal";\n',
      "src/modal/rpc/session.ts": 'export { ModalClient } from "modal";\n',
      "src/queue/queue.ts": 'export { Queue } from "bullmq";\nexport { Redis } from "ioredis";\n',
      "src/job/schema.ts": 'export { z } from "zod";\nexport * from "./other.ts";\n',
      "src/job/other.ts": 'export { join } from "node:path";\n',
    };
    const wrong = ["gpu-host/value.ts", "http/queue.ts", "job/other.ts", "runner/redis.ts", "worker.ts"];
    expect(lint(files)).toEqual(wrong.map((path) => `src/${path} ${IMPORTS}`));
  });
});

describe("benchmarks and what they share with tests", () => {
  it("import nothing from test/", () => {
    const files = {
      "test/one.ts": "export const one = 1;\n",
      "support/one.ts": "export const one = 1;\n",
      "support/test.ts": 'export * from "../test/one.ts";\n',
      "bench/test.ts": 'export * from "../test/one.ts";\n',
      "bench/support.ts": 'export * from "../support/one.ts";\n',
      "test/two.ts":
        'export * from "../support/one.ts";\nexport { one as two } from "../bench/support.ts";\n',
    };
    expect(lint(files)).toEqual([`bench/test.ts ${IMPORTS}`, `support/test.ts ${IMPORTS}`]);
  });
});

describe("lint", () => {
  it("reports what it is there for", () => {
    const files = {
      "src/pool/floating.ts": "export function go(work: () => Promise<void>): void {\n  work();\n}\n",
      "src/pool/misused.ts":
        "export function go(work: () => Promise<void>): void {\n  [1].forEach(async () => work());\n}\n",
      "src/pool/switch.ts":
        'export function go(kind: "a" | "b"): void {\n  switch (kind) {\n    case "a":\n      break;\n  }\n}\n',
      "src/pool/any.ts": "export type Loose = any;\n",
      "src/pool/unused.ts": "const unused = 1;\nexport const used = 2;\n",
      "src/pool/type.ts": 'import { Used } from "./used.ts";\nexport type Again = Used;\n',
      "src/pool/used.ts": "export interface Used {\n  readonly a: string;\n}\n",
      "src/pool/cycle-a.ts": 'export { b } from "./cycle-b.ts";\nexport const a = 1;\n',
      "src/pool/cycle-b.ts": 'export { a } from "./cycle-a.ts";\nexport const b = 1;\n',
      "src/pool/long.ts": `${"// line\n".repeat(300)}export const last = 1;\n`,
      "src/pool/fits.ts": `${"// line\n".repeat(299)}export const last = 1;\n`,
      "src/pool/prints.ts": 'console.log("hello");\n',
      "src/cli/prints.ts": 'console.log("hello");\n',
      "src/pool/exits.ts": "process.exit(1);\n",
      "src/cli/shutdown.ts": "process.exit(1);\n",
      "src/pool/env.ts": "export const { env } = process;\n",
      "src/cli/env.ts": 'export const home = process.env["HOME"];\n',
      "src/config/env.ts": 'export const home = process.env["HOME"];\n',
      "src/job/clock.ts": "export const now = Date.now();\n",
      "src/job/random.ts": "export const random = Math.random();\n",
      "src/job/timer.ts": "export const timer = setTimeout;\n",
    };
    expect(lint(files)).toEqual([
      "src/cli/env.ts eslint(no-restricted-properties)",
      "src/job/clock.ts eslint(no-restricted-properties)",
      "src/job/random.ts eslint(no-restricted-properties)",
      "src/job/timer.ts eslint(no-restricted-globals)",
      "src/pool/any.ts typescript(no-explicit-any)",
      "src/pool/cycle-a.ts import(no-cycle)",
      "src/pool/cycle-b.ts import(no-cycle)",
      "src/pool/env.ts eslint(no-restricted-properties)",
      "src/pool/exits.ts eslint(no-restricted-properties)",
      "src/pool/floating.ts typescript(no-floating-promises)",
      "src/pool/long.ts eslint(max-lines)",
      "src/pool/misused.ts typescript(no-misused-promises)",
      "src/pool/prints.ts eslint(no-console)",
      "src/pool/switch.ts typescript(switch-exhaustiveness-check)",
      "src/pool/type.ts typescript(consistent-type-imports)",
      "src/pool/unused.ts eslint(no-unused-vars)",
    ]);
  });
});

describe("the other gates", () => {
  it("format: names an ugly file", () => {
    const box = sandbox([".oxfmtrc.json", "package.json"], {
      "src/ugly.ts": "export const   a = {b:1}\n",
      "src/neat.ts": "export const a = { b: 1 };\n",
    });
    const { status, stdout } = box.tool("oxfmt", "--check", ".");
    expect(status).not.toBe(0);
    expect(stdout).toContain("src/ugly.ts");
    expect(stdout).not.toContain("src/neat.ts");
  });

  it("dead code: names an export and a file that nobody uses", () => {
    const box = sandbox(
      ["knip.json", "package.json", "tsconfig.json", "tsconfig.build.json", "vitest.config.ts"],
      {
        "src/index.ts": 'export { kept } from "./job/thing.ts";\n',
        "src/worker.ts": "export const worker = 1;\n",
        "src/cli.ts": "export const cli = 1;\n",
        "src/job/thing.ts": "export const kept = 1;\nexport const forgotten = 2;\n",
        "src/job/lonely.ts": "export const lonely = 1;\n",
      },
    );
    const { status, stdout } = box.tool("knip", "--include", "exports,files", "--no-progress");
    expect(status).not.toBe(0);
    expect(stdout).toContain("forgotten");
    expect(stdout).toContain("src/job/lonely.ts");
    expect(stdout).not.toContain("kept");
  });

  it("types: names what does not fit, as strictly as our settings say", () => {
    const box = sandbox(["tsconfig.json"], {
      "src/wrong.ts": 'export const count: number = "three";\n',
      "src/index.ts": "export const first = (list: readonly number[]): number => list[0];\n",
    });
    const { status, stdout } = box.tool("tsc", "--noEmit");
    expect(status).not.toBe(0);
    expect(stdout).toContain("src/wrong.ts(1,14): error TS2322");
    expect(stdout).toContain("src/index.ts(1,");
  });

  it("every gate is part of .ci/run", () => {
    const script = readFileSync(join(root, ".ci/run"), "utf8");
    for (const gate of ["test", "typecheck", "lint", "format:check", "deadcode", "generate:check"]) {
      expect(script).toMatch(new RegExp(`^gate .*npm (run )?${gate}( |$)`, "m"));
    }
  });
});
