import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** The repository. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** The names of the folders in `src`. */
export function sourceFolders(): string[] {
  const entries = readdirSync(join(root, "src"), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

export interface Sandbox {
  readonly folder: string;
  write(files: Record<string, string>): void;
  run(
    command: string,
    args: readonly string[],
    env?: Record<string, string>,
  ): { status: number | null; stdout: string; stderr: string };
  /** Runs a program of an npm package. */
  tool(name: string, ...args: string[]): { status: number | null; stdout: string; stderr: string };
}

/** A folder of its own with our settings and packages, where files may be as wrong as a test wants. */
export function sandbox(copied: readonly string[], files: Record<string, string>): Sandbox {
  const folder = mkdtempSync(join(tmpdir(), "mirumoji-gates-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  for (const path of copied) cpSync(join(root, path), join(folder, path), { recursive: true });
  const self: Sandbox = {
    folder,
    write(more) {
      for (const [path, content] of Object.entries({ ".gitignore": "node_modules\ndist\n", ...more })) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), content);
      }
    },
    run(command, args, env = {}) {
      const result = spawnSync(command, args, {
        cwd: folder,
        encoding: "utf8",
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      return { status: result.status, stdout: result.stdout, stderr: result.stderr };
    },
    tool(name, ...args) {
      return self.run(join(folder, "node_modules", ".bin", name), args);
    },
  };
  self.write(files);
  return self;
}

/** The text of every file under these folders whose name ends so, by its path in the repository. */
export function readSources(
  folders: readonly string[],
  endings: readonly string[] = [".ts"],
): Record<string, string> {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`),
  );
  const sources = paths.filter((path) => endings.some((ending) => path.endsWith(ending)));
  return Object.fromEntries(sources.map((path) => [path, readFileSync(join(root, path), "utf8")]));
}
