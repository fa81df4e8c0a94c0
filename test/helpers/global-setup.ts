import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BUNDLE_VARIABLE } from "../../support/programs.ts";
import { bundlePrograms } from "./bundle.ts";
import { forgetRows, publishTable } from "./crash/report.ts";

/**
 * Builds `dist` once per run, for tests that start what is shipped, and a bundle of the programs that tests start
 * often. At the end the crash suite's table is shown, if any of it ran.
 */
export default async function setup(): Promise<() => void> {
  // Each project calls this.
  if (process.env[BUNDLE_VARIABLE] !== undefined) return () => undefined;
  const script = fileURLToPath(new URL("../../scripts/build.js", import.meta.url));
  const build = spawnSync(process.execPath, [script, "--no-check"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (build.status !== 0) throw new Error("dist could not be built; the compiler's message is above");
  process.env[BUNDLE_VARIABLE] = await bundlePrograms();
  forgetRows();
  return publishTable;
}
