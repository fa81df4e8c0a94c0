import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";

const MARKER = "--BULLMQ--";

/** Functions that each wrapper begins with. */
const TURNS = "./turns.lua";
/** Our file around each of BullMQ's own scripts that we wrap. The client's package finds them by these names. */
const WRAPPERS: Readonly<Record<string, string>> = {
  addStandardJob: "./add-turn.lua",
  addDelayedJob: "./add-turn.lua",
  moveToActive: "./take-turn.lua",
  moveToDelayed: "./take-turn.lua",
  moveToFinished: "./finish-outbox.lua",
};

/**
 * Lets one write be what must not be torn apart: BullMQ's own scripts, which this connection is about to learn, are
 * wrapped into ours. Workers so take the job whose turn it is, producers put a job into its tenant's line, and the end of
 * a job is written with its webhook events. BullMQ defines a script only where there is none of its name.
 */
export function wrapScripts(redis: Redis): void {
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, definition) => {
    const { lua } = definition;
    const wrapper = WRAPPERS[name.split(":", 1)[0] ?? ""];
    define(
      name,
      wrapper !== undefined && lua !== undefined ? { ...definition, lua: wrapped(lua, wrapper) } : definition,
    );
  };
}

/** BullMQ's text in ours. */
function wrapped(bullmq: string, wrapper: string): string {
  const [turns, ours] = [TURNS, wrapper].map((file) => readFileSync(new URL(file, import.meta.url), "utf8"));
  const [before = "", after = ""] = (ours ?? "").split(MARKER);
  return `${turns}\n${before}${bullmq}${after}`;
}
