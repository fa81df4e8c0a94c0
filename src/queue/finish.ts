import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";

const NAME = /^moveToFinished:/u;
const MARKER = "--BULLMQ--";

/**
 * Lets the end of a job and its webhook events be one write: BullMQ's own script, which this connection is about to
 * learn, is wrapped into ours. BullMQ defines a script only where there is none of its name.
 */
export function wrapFinish(redis: Redis): void {
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, definition) => {
    const { lua } = definition;
    define(name, NAME.test(name) && lua !== undefined ? { ...definition, lua: wrapped(lua) } : definition);
  };
}

function wrapped(bullmq: string): string {
  const ours = readFileSync(new URL("./finish-outbox.lua", import.meta.url), "utf8");
  const [before = "", after = ""] = ours.split(MARKER);
  return `${before}${bullmq}${after}`;
}
