import type { Command } from "commander";
import { once } from "node:events";
import { inspectEngines } from "../compose/speech-engines.ts";
import { processEnvironment } from "../config/load.ts";
import { secretValues } from "../config/secrets.ts";
import { startGpuHost } from "../gpu-host/host.ts";
import { stopOnSignal } from "./shutdown.ts";
import { guarded, note, printJson } from "./output.ts";
import { serviceLogger } from "./service-logger.ts";

const STOP_LIMIT_MS = 10_000;

export function addGpuHost(program: Command): void {
  program
    .command("gpu-host")
    .description("run functions on this machine, speaking Modal's own protocol")
    .option("--json", "print one JSON line when ready")
    .action(
      guarded(
        ({ json }: { json?: boolean }) => json === true,
        async ({ json }: { json?: boolean }) => {
          const environment = processEnvironment();
          const logger = serviceLogger(environment, secretValues(environment));
          const ttlMs = environment.MIRUMOJI_GPU_HOST_TTL * 1000;
          const host = await startGpuHost({
            dataDir: environment.MIRUMOJI_GPU_HOST_DATA,
            host: environment.MIRUMOJI_GPU_HOST_ADDRESS,
            grpcPort: environment.MIRUMOJI_GPU_HOST_PORT,
            ...portsFrom(environment.MIRUMOJI_GPU_HOST_HTTP_PORT),
            volumeTtlMs: ttlMs,
            appTtlMs: ttlMs,
            maxConcurrentCalls: environment.MIRUMOJI_GPU_HOST_CALLS,
            warm: {
              most: environment.MIRUMOJI_GPU_HOST_WARM,
              idleMs: environment.MIRUMOJI_GPU_HOST_IDLE * 1000,
            },
            logger,
            inspectEngines,
            secrets: registrySecret(environment.MIRUMOJI_MODAL_REGISTRY_SECRET),
            ...(environment.MODAL_TOKEN_ID === undefined ? {} : { tokenId: environment.MODAL_TOKEN_ID }),
            ...(environment.MODAL_TOKEN_SECRET === undefined
              ? {}
              : { tokenSecret: environment.MODAL_TOKEN_SECRET }),
          });
          const parent = parentGone();
          const stopped = stopOnSignal({
            limitMs: STOP_LIMIT_MS,
            ...(parent === null ? {} : { alsoOn: parent }),
            onStopping: (why) => logger.info({ why }, "GPU host is stopping"),
            stop: async () => await host.close(),
          });
          const { serverUrl, tokenId, tokenSecret, statsUrl } = host;
          if (json === true) printJson({ serverUrl, tokenId, tokenSecret, statsUrl });
          else {
            note(
              [
                "GPU host is ready. Give these to the worker:",
                `  MODAL_SERVER_URL=${serverUrl}`,
                `  MODAL_TOKEN_ID=${tokenId}`,
                `  MODAL_TOKEN_SECRET=${tokenSecret}`,
                `What it did: ${statsUrl}`,
              ].join("\n"),
            );
          }
          await stopped;
        },
      ),
    );
}

/** Uses free ports when no number is given. */
function portsFrom(first: number): { httpPorts?: readonly number[] } {
  return first === 0 ? {} : { httpPorts: [first, first + 1] };
}

/** Images are not pulled here, so the secret only has to exist. */
function registrySecret(name: string | undefined): Record<string, readonly string[]> {
  return name === undefined ? {} : { [name]: ["REGISTRY_USERNAME", "REGISTRY_PASSWORD"] };
}

/**
 * `dev` starts this command with an IPC channel: when it closes, the parent is gone and so are we. Ctrl-C
 * reaches the whole group at once, but the parent still needs us while it hands its jobs back.
 */
function parentGone(): AbortSignal | null {
  if (process.channel === undefined || process.channel === null) return null;
  const gone = new AbortController();
  void once(process, "disconnect").then(() => gone.abort());
  process.on("SIGINT", () => undefined);
  return gone.signal;
}
