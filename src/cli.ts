import { Command } from "commander";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { addApi } from "./cli/api.ts";
import { addCancel } from "./cli/cancel.ts";
import { addDemo } from "./cli/demo.ts";
import { addDeploy } from "./cli/deploy.ts";
import { addDev } from "./cli/dev.ts";
import { addDoctor } from "./cli/doctor.ts";
import { addGpuHost } from "./cli/gpu-host.ts";
import { addHealth } from "./cli/health.ts";
import { addList } from "./cli/list.ts";
import { addModal } from "./cli/modal-check.ts";
import { addReap } from "./cli/reap.ts";
import { addRetry } from "./cli/retry.ts";
import { addStatus } from "./cli/status.ts";
import { addSubmit } from "./cli/submit.ts";
import { addVolume } from "./cli/volume.ts";
import { addWorker } from "./cli/worker.ts";

const manifest = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")));

const program = new Command("mirumoji-worker")
  .description("Transcribes and converts media files on Modal GPUs, or on this machine.")
  .version(manifest.version)
  .showHelpAfterError();

for (const add of [
  addDemo,
  addDev,
  addWorker,
  addApi,
  addGpuHost,
  addDeploy,
  addSubmit,
  addStatus,
  addList,
  addDoctor,
  addHealth,
  addModal,
  addVolume,
  addCancel,
  addRetry,
  addReap,
])
  add(program);

await program.parseAsync();
