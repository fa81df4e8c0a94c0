import { openPoolPause, type Pause } from "../queue/pool-pause.ts";
import type { RedisClient } from "../queue/redis-client.ts";
import { note } from "./output.ts";

/** Tells on stderr that no worker of the pool takes jobs now, and why: jobs that wait cannot say so themselves. */
export async function notePause({ source: { redis, prefix } }: RedisClient): Promise<void> {
  const pause = await openPoolPause(redis, prefix).read();
  if (pause !== null) note(describePause(pause));
}

function describePause({ code, message, since }: Pause): string {
  return `no worker takes jobs since ${new Date(since).toISOString()}: ${code}: ${message}`;
}
