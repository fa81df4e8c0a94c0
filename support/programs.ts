import { fileURLToPath } from "node:url";
import { join } from "node:path";

/** The command line as it is shipped. */
export const LAUNCHER = fileURLToPath(new URL("../bin/mirumoji-worker.js", import.meta.url));

/**
 * Programs that tests start many times, by the file that is started. The set-up of the tests makes one bundle of
 * them, because Node takes longer to load their thousand files than most tests take.
 */
export const PROGRAMS = {
  "mirumoji-worker": "src/cli.ts",
  "faulty-worker": "test/helpers/crash/faulty-worker.ts",
  "faulty-sender": "test/helpers/crash/faulty-sender.ts",
  "gpu-host": "test/helpers/gpu-host/fixtures/serve.ts",
} as const;

/** Variable with the folder of the bundle. */
export const BUNDLE_VARIABLE = "TEST_PROGRAMS";

/** File of a program for Node: from the bundle in a test, else (in a benchmark) the command line as it is shipped. */
export function programFile(name: keyof typeof PROGRAMS): string {
  const folder = process.env[BUNDLE_VARIABLE];
  if (folder !== undefined) return join(folder, `${name}.js`);
  if (name === "mirumoji-worker") return LAUNCHER;
  throw new Error(`${name} is bundled by test/helpers/global-setup.ts, which did not run`);
}
