/** The command `worker` as it is built, with a fault point around its jobs: `FAULT_POINT=put:after`. */
import type { serveWorker } from "../../../src/cli/worker.ts";
import type { runJob } from "../../../src/runner/run-job.ts";
import { withFaultPoint } from "./fault-points.ts";

const dist = async (path: string): Promise<unknown> =>
  await import(new URL(`../../../dist/${path}`, import.meta.url).href);
const worker = (await dist("cli/worker.js")) as { serveWorker: typeof serveWorker };
const runner = (await dist("runner/run-job.js")) as { runJob: typeof runJob };

const run = withFaultPoint(process.env["FAULT_POINT"] ?? "", runner.runJob);
await worker.serveWorker({ json: true, run });
