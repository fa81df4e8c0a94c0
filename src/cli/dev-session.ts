import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { isSet, processEnvironment } from "../config/load.ts";
import type { Environment } from "../config/schema.ts";

/** Where a running `dev` says how to reach it, so that the other commands find it without any setting. */
const SESSION_FILE = resolve(".mirumoji", "dev.json");

/** What `dev --json` prints when it is ready. */
export const devSessionSchema = z.object({
  redisUrl: z.string(),
  serverUrl: z.string(),
  tokenId: z.string(),
  tokenSecret: z.string(),
  statsUrl: z.string().nullable(),
  apiUrl: z.string(),
  boardUrl: z.string(),
  metricsUrl: z.string(),
  mediaRoot: z.string(),
});
export type DevSession = z.output<typeof devSessionSchema>;

const fileSchema = devSessionSchema.extend({ pid: z.number(), queuePrefix: z.string() });

/** Leaves the address for other commands in this folder; only this user can read it, it holds tokens. */
export function publishDevSession(session: DevSession, queuePrefix: string): void {
  mkdirSync(dirname(SESSION_FILE), { recursive: true });
  writeFileSync(SESSION_FILE, JSON.stringify({ ...session, pid: process.pid, queuePrefix }), { mode: 0o600 });
}

/** Takes it away again, if it is still ours. */
export function withdrawDevSession(): void {
  if (readDevSession()?.pid === process.pid) rmSync(SESSION_FILE, { force: true });
}

/**
 * The environment for commands that talk to running services: what is set wins; where `REDIS_URL` is not
 * set and a `dev` runs in this folder, that one is meant.
 */
export function clientEnvironment(): { environment: Environment; mediaRoot: string | null } {
  const environment = processEnvironment();
  const ownRoot = isSet("HOST_MEDIA_PATH") ? environment.HOST_MEDIA_PATH : null;
  const session = isSet("REDIS_URL") ? null : readDevSession();
  if (session === null || !isAlive(session.pid)) return { environment, mediaRoot: ownRoot };
  return {
    environment: {
      ...environment,
      REDIS_URL: session.redisUrl,
      MIRUMOJI_QUEUE_PREFIX: session.queuePrefix,
      MODAL_SERVER_URL: session.serverUrl,
      MODAL_TOKEN_ID: session.tokenId,
      MODAL_TOKEN_SECRET: session.tokenSecret,
      HOST_MEDIA_PATH: session.mediaRoot,
    },
    mediaRoot: session.mediaRoot,
  };
}

function readDevSession(): z.output<typeof fileSchema> | null {
  try {
    const parsed = fileSchema.safeParse(JSON.parse(readFileSync(SESSION_FILE, "utf8")));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
