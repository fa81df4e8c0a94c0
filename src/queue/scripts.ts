import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { wrapScripts } from "./bullmq-scripts.ts";

/**
 * Our Lua scripts, with the names of the keys that each one touches and of the values that it takes. A script reads
 * the key `lock` as `lockKey` and the value `token` as `token`; a value that was not given is the empty string. Redis
 * refuses a name that is not declared.
 */
const SCRIPTS = {
  commit: {
    keys: ["lock", "checkpoint", "ledger", "job", "events", "logs", "claims", "spend", "spent", "reserved"],
    args: [
      "token",
      "readWriter",
      "prefix",
      "queue",
      "jobId",
      "checkpoint",
      "volumeId",
      "ledgerEntry",
      "struckVolumeId",
      "summary",
      "log",
      "targets",
      "spentCallId",
      "spentMicroUsd",
      "spentMs",
      "mediaMs",
    ],
    shared: "books",
  },
  restate: {
    keys: ["lock", "checkpoint", "ledger", "job", "completed", "failed"],
    args: [
      "token",
      "readWriter",
      "jobId",
      "record",
      "revision",
      "crashesSeen",
      "retriedAt",
      "volumeId",
      "ledgerEntry",
    ],
  },
  primary: { keys: ["primary"], args: ["graceMs"] },
  settle: {
    keys: ["lock", "checkpoint", "ledger", "job", "logs", "claims", "reserved", "once"],
    args: ["queue", "jobId", "volumeId", "summary", "log", "targets", "kept", "keptVolumeId", "keepMs"],
    shared: "books",
  },
  reserve: {
    keys: ["lock", "job", "spent", "reserved", "budgets"],
    args: ["token", "queue", "jobId", "microUsd", "limits"],
    shared: "books",
  },
  release: { keys: ["job", "reserved", "completed", "failed"], args: ["queue", "jobId"], shared: "books" },
  cancel: {
    keys: ["job", "lock", "checkpoint", "wait", "delayed", "prioritized", "active", "completed", "failed"],
    args: ["prefix", "queue", "jobId", "token", "leaseMs"],
    shared: "turns",
  },
  retry: { keys: ["job", "checkpoint", "failed"], args: ["prefix", "jobId"] },
  "release-tenant": { keys: [], args: ["prefix", "tenant"], shared: "turns" },
  "end-turn": { keys: [], args: ["prefix", "queue", "jobId"], shared: "turns" },
  "read-job": { keys: ["job", "lock", "completed", "failed"], args: ["jobId"] },
  "keep-transcript": {
    keys: ["order", "sizes"],
    args: ["jobId", "start", "ending", "text", "ttlMs", "limitBytes"],
  },
  "claim-deliveries": {
    keys: ["due", "deliveries", "claims"],
    args: ["token", "leaseMs", "count", "lanePrefix"],
  },
  "renew-claim": { keys: ["due", "claims"], args: ["token", "lane", "leaseMs"] },
  "settle-delivery": {
    keys: ["due", "deliveries", "claims", "pending", "dead", "lane"],
    args: ["token", "lane", "id", "result", "delivery", "waitMs"],
  },
  "replay-delivery": {
    keys: ["due", "deliveries", "pending", "dead", "lane"],
    args: ["lane", "id", "delivery"],
  },
} as const satisfies Record<string, Script>;

interface Script {
  readonly keys: readonly string[];
  readonly args: readonly string[];
  /** File of functions that the script begins with. */
  readonly shared?: "books" | "turns";
}

type Scripts = typeof SCRIPTS;
export type ScriptName = keyof Scripts;

/** The answers of the scripts, as their heads say. */
export interface ScriptAnswers {
  commit: "written" | "cancelRequested" | "refused" | `claimed ${string}`;
  restate: "known" | "restated" | "taken" | "gone" | "over";
  primary: number;
  settle: "cleared" | "taken";
  reserve:
    | readonly ["reserved" | "refused"]
    | readonly ["over", limit: string, microUsd: string, used: string, seconds: string, over: string];
  release: number;
  cancel: "missing" | "finished" | "taken" | "held" | "active";
  retry: "missing" | "wrong" | "ready";
  "release-tenant": number;
  "end-turn": number;
  "keep-transcript": number;
  "read-job": readonly [state: string, ...fields: (string | null)[]] | null;
  "claim-deliveries": readonly string[];
  "renew-claim": "held" | "lost";
  "settle-delivery": "written" | "lost";
  "replay-delivery": "queued" | "missing";
}

/** Text of a script as Redis gets it: the file, below the names of its keys and values. */
export function scriptText(name: ScriptName): string {
  const script: Script = SCRIPTS[name];
  const { keys, args, shared } = script;
  const text = [...(shared === undefined ? [] : [shared]), name].map((file) =>
    readFileSync(new URL(`./${file}.lua`, import.meta.url), "utf8"),
  );
  const keyNames = keys.map((key) => `${key}Key`);
  return `${localsLua(keyNames, "KEYS")}\n${localsLua(args, "ARGV")}\n${text.join("\n")}`;
}

function localsLua(names: readonly string[], values: "KEYS" | "ARGV"): string {
  if (names.length === 0) return "";
  const given = names.map((_name, index) => `${values}[${index + 1}]`);
  return `local ${names.join(", ")} = ${given.join(", ")}`;
}

/** Makes the scripts known to a connection, which sends a script's text only to a Redis that has not seen it. */
export function defineScripts(redis: Redis): void {
  wrapScripts(redis);
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    redis.defineCommand(commandOf(name), {
      numberOfKeys: SCRIPTS[name].keys.length,
      lua: scriptText(name),
    });
  }
}

/** Runs a script in one step, with its keys and values by name. */
export async function runScript<N extends ScriptName>(
  redis: Redis,
  name: N,
  named: {
    readonly keys: Readonly<Record<Scripts[N]["keys"][number], string>>;
    readonly args: Readonly<Record<Scripts[N]["args"][number], string | undefined>>;
  },
): Promise<ScriptAnswers[N]> {
  const keys: Readonly<Record<string, string>> = named.keys;
  const args: Readonly<Record<string, string | undefined>> = named.args;
  const run = Reflect.get(redis, commandOf(name)) as (
    ...values: readonly string[]
  ) => Promise<ScriptAnswers[N]>;
  return await run.call(
    redis,
    ...SCRIPTS[name].keys.map((key) => keys[key] ?? ""),
    ...SCRIPTS[name].args.map((arg) => args[arg] ?? ""),
  );
}

function commandOf(name: ScriptName): string {
  return `mirumoji:${name}`;
}
