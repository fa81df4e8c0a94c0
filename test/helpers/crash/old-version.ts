import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleInto } from "../bundle.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Whether the history has the commit; a shallow clone may not. */
export function hasCommit(commit: string): boolean {
  try {
    execFileSync("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: root, stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Builds the command line of an earlier commit with the packages of this one; gives its file. */
export async function buildCommit(commit: string, folder: string): Promise<string> {
  const tree = join(folder, "tree");
  mkdirSync(tree, { recursive: true });
  const archive = execFileSync("git", ["archive", commit], { cwd: root, maxBuffer: 2 ** 30 });
  execFileSync("tar", ["-x", "-C", tree], { input: archive });
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  // Packages that are not bundled are looked for beside the bundle.
  const bundle = join(tree, "bundle");
  await bundleInto(bundle, tree, { "mirumoji-worker": "src/cli.ts" });
  return join(bundle, "mirumoji-worker.js");
}
