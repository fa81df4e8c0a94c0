import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { forgetRows, publishTable } from "./crash/report.ts";

/**
 * Builds `dist` once per run: tests that start the command line run what would be shipped. At the end the
 * crash suite's table is shown, if any of it ran.
 */
export default function setup(): () => void {
  const script = fileURLToPath(new URL("../../scripts/build.js", import.meta.url));
  const build = spawnSync(process.execPath, [script, "--no-check"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (build.status !== 0) throw new Error("dist could not be built; the compiler's message is above");
  forgetRows();
  return publishTable;
}
