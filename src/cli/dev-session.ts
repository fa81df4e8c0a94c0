import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { isSet, processEnvironment } from "../config/load.ts";
import type { Environment } from "../config/schema.ts";

/**
 * The file in which a running `dev` publishes its addresses, so that other commands find it without settings.
 */
const SESSION_FILE = resolve(".mirumoji", "dev.json");

/** Output of `dev --json` once it is ready. */
export const devSessionSchema = z.object({
  redisUrl: z.string(),
  serverUrl: z.string(),
  tokenId: z.string(),
  tokenSecret: z.string(),
  statsUrl: z.string().nullable(),
  apiUrl: z.string(),
  /** A key of the HTTP API that may do everything; made anew at each start. */
  apiKey: z.string(),
  /** The page for people, which asks for the key. */
  pageUrl: z.string().nullable(),
  boardUrl: z.string(),
  metricsUrl: z.string(),
  mediaRoot: z.string(),
});
export type DevSession = z.output<typeof devSessionSchema>;

const fileSchema = devSessionSchema.extend({ pid: z.number(), queuePrefix: z.string() });

/**
 * Writes the addresses for other commands in this folder, readable by this user only because it holds tokens.
 */
export function publishDevSession(session: DevSession, queuePrefix: string): void {
  mkdirSync(dirname(SESSION_FILE), { recursive: true });
  writeFileSync(SESSION_FILE, JSON.stringify({ ...session, pid: process.pid, queuePrefix }), { mode: 0o600 });
}

/** Removes the file if this process still owns it. */
export function withdrawDevSession(): void {
  if (readDevSession()?.pid === process.pid) rmSync(SESSION_FILE, { force: true });
}

/**
 * Environment for commands that talk to running services. Variables that are set win; without `REDIS_URL`,
 * the `dev` that runs in this folder is used.
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
