import { Command } from "commander";
import { VERSION } from "./config/version.ts";

/**
 * The commands, in the order of `--help`. Each brings its own dependencies, some of them heavy, so that only the
 * one that was asked for is loaded.
 */
const COMMANDS: Record<string, () => Promise<(program: Command) => void>> = {
  demo: async () => (await import("./cli/demo.ts")).addDemo,
  dev: async () => (await import("./cli/dev.ts")).addDev,
  worker: async () => (await import("./cli/worker.ts")).addWorker,
  api: async () => (await import("./cli/api.ts")).addApi,
  "gpu-host": async () => (await import("./cli/gpu-host.ts")).addGpuHost,
  deploy: async () => (await import("./cli/deploy.ts")).addDeploy,
  submit: async () => (await import("./cli/submit.ts")).addSubmit,
  batch: async () => (await import("./cli/batch.ts")).addBatch,
  status: async () => (await import("./cli/status.ts")).addStatus,
  list: async () => (await import("./cli/list.ts")).addList,
  tenants: async () => (await import("./cli/tenants.ts")).addTenants,
  costs: async () => (await import("./cli/costs.ts")).addCosts,
  doctor: async () => (await import("./cli/doctor.ts")).addDoctor,
  health: async () => (await import("./cli/health.ts")).addHealth,
  modal: async () => (await import("./cli/modal-check.ts")).addModal,
  volume: async () => (await import("./cli/volume.ts")).addVolume,
  cancel: async () => (await import("./cli/cancel.ts")).addCancel,
  reformat: async () => (await import("./cli/reformat.ts")).addReformat,
  retry: async () => (await import("./cli/retry.ts")).addRetry,
  reap: async () => (await import("./cli/reap.ts")).addReap,
  keys: async () => (await import("./cli/keys.ts")).addKeys,
  webhooks: async () => (await import("./cli/webhooks.ts")).addWebhooks,
};

const program = new Command("mirumoji-worker")
  .description("Transcribes and converts media files on Modal GPUs, or on this machine.")
  .version(VERSION)
  .showHelpAfterError();

const asked = COMMANDS[process.argv[2] ?? ""];
for (const load of asked === undefined ? Object.values(COMMANDS) : [asked]) (await load())(program);

await program.parseAsync();
