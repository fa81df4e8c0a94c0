import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { CallContext } from "nice-grpc";
import { assembleServices } from "./assemble.ts";
import { createGrpcServer } from "./grpc-server.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { faultRoutes, statsRoutes } from "./http/admin.ts";
import { healthRoutes } from "./http/health.ts";
import { blobRoutes } from "./http/blobs.ts";
import { blockRoutes } from "./http/blocks.ts";
import { openHttpServer } from "./http/server.ts";
import { MirumojiError } from "../job/errors.ts";
import { type Log, silentLog } from "./log.ts";
import type { OnRequest } from "./middleware/record.ts";
import { currentStats, type Stats } from "./stats.ts";
import type { InspectEngines } from "./run/engines.ts";
import type { WarmLimits } from "./run/warm.ts";
import { lockFolder } from "./store/folder-lock.ts";
import { currentBootId } from "./store/power.ts";
import { openState } from "./store/state.ts";

export interface GpuHostOptions {
  /** Folder for everything the host keeps. A host started with the same one goes on where the last one ended. */
  dataDir: string;
  /** Where to listen. Loopback unless said otherwise, because functions run with this user's rights. */
  host?: string;
  /** 0, the default, takes a free port. */
  grpcPort?: number;
  /** Ports for blocks and everything else that comes by HTTP: a thread for each. 0 takes a free one; the default is two. */
  httpPorts?: readonly number[];
  /** Made up when absent. */
  tokenId?: string;
  tokenSecret?: string;
  /** An ephemeral volume without a heartbeat for this long is removed. */
  volumeTtlMs?: number;
  /** An ephemeral app without a heartbeat for this long is stopped, with its calls. */
  appTtlMs?: number;
  maxConcurrentCalls?: number;
  /** Processes that stay with a model in memory after a call, and for how long; by default none. */
  warm?: WarmLimits;
  python?: string;
  /** Tells which speech engines a call would find; by default nothing is known of them. */
  inspectEngines?: InspectEngines;
  logger?: Log;
  /** Named secrets that clients may refer to, with the keys they hold; values are of no use here. */
  secrets?: Readonly<Record<string, readonly string[]>>;
  /** Different after each start of the machine; the default asks the kernel. */
  bootId?: string;
  /** Lets tests order faults over HTTP. */
  adminFaults?: boolean;
  now?: () => number;
  /** Shown every request, for tests. */
  onRequest?: OnRequest;
}

export interface GpuHost {
  /** Address that clients set as `MODAL_SERVER_URL`. */
  readonly serverUrl: string;
  readonly tokenId: string;
  readonly tokenSecret: string;
  readonly httpPorts: readonly number[];
  /** Statistics as JSON. The URL carries its own token. */
  readonly statsUrl: string;
  /** Takes faults by POST and forgets them by DELETE, when `adminFaults` is on. */
  readonly adminUrl: string;
  stats(): Stats;
  /** Stops serving, and kills what runs. */
  close(): Promise<void>;
}

/** Two threads hash and write a gigabyte in a second, if they get a core each (docs/benchmarks.md). */
const FREE_PORTS = [0, 0];

const DEFAULT_TTL_MS = 10 * 60 * 1000;

/**
 * Starts an embedded GPU host: Modal's control plane and block store, on this machine.
 *
 * @throws MirumojiError `GPU_HOST_FOLDER_IN_USE`, `CONFIG_INVALID` when it cannot listen
 */
export async function startGpuHost(options: GpuHostOptions): Promise<GpuHost> {
  // Absolute, because functions are run in folders of their own.
  const dataDir = resolve(options.dataDir);
  const lock = await lockFolder(dataDir, options.logger ?? silentLog, options.now ?? Date.now);
  try {
    const host = await serve({ ...options, dataDir });
    const close = async () => {
      await host.close();
      await lock.close();
    };
    return { ...host, close };
  } catch (error) {
    await lock.close();
    throw error;
  }
}

async function serve(options: GpuHostOptions): Promise<GpuHost> {
  const now = options.now ?? Date.now;
  const log = options.logger ?? silentLog;
  const host = options.host ?? "127.0.0.1";
  const tokenId = options.tokenId ?? `ak-${randomBytes(8).toString("hex")}`;
  const tokenSecret = options.tokenSecret ?? `as-${randomBytes(16).toString("hex")}`;
  const volumeTtlMs = options.volumeTtlMs ?? DEFAULT_TTL_MS;
  const appTtlMs = options.appTtlMs ?? DEFAULT_TTL_MS;

  const state = openState(options.dataDir, log, options.bootId ?? currentBootId());
  await rm(state.paths.scratch, { recursive: true, force: true });
  await mkdir(state.paths.scratch);
  const services = assembleServices({
    state,
    volumeTtlMs,
    appTtlMs,
    maxConcurrentCalls: options.maxConcurrentCalls ?? 2,
    warm: options.warm ?? { most: 0, idleMs: 0 },
    python: options.python ?? "python3",
    inspectEngines:
      options.inspectEngines ?? (async () => await Promise.reject(new Error("nobody looks for them"))),
    secrets: options.secrets ?? {},
    now,
    log,
    httpUrl: (context) => `http://${reachableHost(host, context)}:${nextPort()}`,
  });
  if (state.power.wasLost) {
    log.warn(
      { dataDir: options.dataDir },
      "the machine lost its power: volumes and apps of running jobs are let go",
    );
    services.apps.stopUnsynced();
    await services.volumes.forgetUnsynced();
  }
  const routes = [
    ...blockRoutes(services),
    ...blobRoutes(services),
    ...statsRoutes(services),
    ...healthRoutes(services),
  ];
  if (options.adminFaults === true) routes.push(...faultRoutes(services));
  const httpToken = services.signer.derive("http");
  const ports = options.httpPorts ?? FREE_PORTS;
  const http = await openHttpServer({ host, ports, routes, httpToken, log }).catch((error: unknown) => {
    throw cannotListen("MIRUMOJI_GPU_HOST_HTTP_PORT, which stands for that port and the next", error);
  });
  const { ports: httpPorts } = http;
  let urls = 0;
  const nextPort = () => httpPorts[urls++ % httpPorts.length];
  const grpc = createGrpcServer(services, { tokenId, tokenSecret, onRequest: options.onRequest });
  const grpcPort = await grpc
    .listen(`${bracketed(host)}:${options.grpcPort ?? 0}`)
    .catch(async (error: unknown) => {
      await http.close();
      throw cannotListen("MIRUMOJI_GPU_HOST_PORT", error);
    });
  for (const input of services.calls.recover({ endQueued: state.power.wasLost }))
    services.runner.submit(input);
  const shortestTtlMs = Math.min(volumeTtlMs, appTtlMs);
  const housekeeping = startHousekeeping(services, Math.min(5_000, Math.max(50, shortestTtlMs / 4)));

  const name = isWildcard(host) ? "127.0.0.1" : bracketed(host);
  log.info({ grpcPort, httpPorts, host }, "GPU host listens");
  return {
    serverUrl: `http://${name}:${grpcPort}`,
    tokenId,
    tokenSecret,
    httpPorts,
    statsUrl: `http://${name}:${httpPorts[0]}/stats?token=${httpToken}`,
    adminUrl: `http://${name}:${httpPorts[0]}/admin/faults?token=${httpToken}`,
    stats: () => currentStats(services),
    close: async () => {
      housekeeping.stop();
      await services.runner.close();
      grpc.forceShutdown();
      await http.close();
      await services.volumes.settled();
      state.power.remove();
    },
  };
}

function cannotListen(setting: string, cause: unknown): MirumojiError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MirumojiError(
    "CONFIG_INVALID",
    `the GPU host cannot listen (${why}); change MIRUMOJI_GPU_HOST_ADDRESS or ${setting}`,
    {
      cause,
    },
  );
}

/** Bound to every address, we are reached under the name that the caller used. */
function reachableHost(host: string, { metadata }: CallContext): string {
  return isWildcard(host) ? (metadata.get("x-modal-host") ?? "127.0.0.1") : bracketed(host);
}

/** IPv6 addresses have brackets where a port follows. */
function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
