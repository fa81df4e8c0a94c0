/** The command `worker` with a fault point around its jobs: `FAULT_POINT=put:after`. */
import { serveWorker } from "../../../src/cli/worker.ts";
import { runJob } from "../../../src/runner/run-job.ts";
import { withFaultPoint } from "./fault-points.ts";

await serveWorker({ json: true, run: withFaultPoint(process.env["FAULT_POINT"] ?? "", runJob) });
