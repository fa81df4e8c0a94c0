import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lease } from "../../../src/queue/lease.ts";
import type { RunJob } from "../../../src/runner/run-job.ts";

/**
 * Every moment at which a worker can be made to die, in the order in which a job meets them: before a side
 * effect, after it but before anybody wrote it down, and after it was written down. `poll` means the call's
 * result, `get` the download, `delete` also the one of an undo.
 */
// oxfmt-ignore
export const FAULT_POINTS = [
  "create:before",  "create:after",  "create:saved",
  "put:before",     "put:after",     "put:saved",
  "open:before",    "open:after",    "open:saved",
  "start:before",   "start:after",
  "poll:before",    "poll:after",    "poll:saved",
  "get:before",     "get:after",
  "outputs:before", "outputs:after", "outputs:saved",
  "delete:before",  "delete:after",
  "settle:before",  "settle:after",
  "cancel:before",  "cancel:after",
] as const;
type Moment = "before" | "after" | "saved";

const ACTIONS = ["kill", "stop", "throw"] as const;

/** `<effect>:<moment>[*<jobs>][=<action>]`: with `*2` two jobs wait for each other there; `kill` is the default. */
interface FaultPoint {
  readonly point: string;
  readonly jobs: number;
  readonly action: (typeof ACTIONS)[number];
}

/**
 * Wraps the running of jobs so that this process dies (`kill`), freezes (`stop`) or fails (`throw`) once, at
 * one named moment.
 */
export function withFaultPoint(text: string, run: RunJob): RunJob {
  const reach = faultAt(parse(text));
  return async (delivery, tools) => {
    const { jobId } = delivery;
    /** The newest effect that no checkpoint knows yet. */
    let unsaved: string | null = null;
    const around = async <T>(effect: string, act: () => Promise<T>): Promise<T> => {
      await reach(effect, "before", jobId);
      const result = await act();
      unsaved = effect;
      await reach(effect, "after", jobId);
      return result;
    };
    const lease: Lease = {
      ...delivery.lease,
      commit: async (commit) => {
        const committed = await delivery.lease.commit(commit);
        if (commit.checkpoint === undefined || unsaved === null) return committed;
        const effect = unsaved;
        unsaved = null;
        await reach(effect, "saved", jobId);
        return committed;
      },
      settle: async (end) => await around("settle", async () => await delivery.lease.settle(end)),
    };
    const { volumes, calls, partCalls, media } = tools;
    return await run(
      { ...delivery, lease },
      {
        ...tools,
        volumes: {
          ...volumes,
          create: async (options) => await around("create", async () => await volumes.create(options)),
          putFile: async (options) => await around("put", async () => await volumes.putFile(options)),
          putStream: async (options) => await around("put", async () => await volumes.putStream(options)),
          getFile: async (options) => await around("get", async () => await volumes.getFile(options)),
          readFile: async (options) => await around("get", async () => await volumes.readFile(options)),
          delete: async (options) => await around("delete", async () => await volumes.delete(options)),
        },
        calls: {
          ...calls,
          open: async (options) => await around("open", async () => await calls.open(options)),
          start: async (options) => await around("start", async () => await calls.start(options)),
          cancel: async (options) => await around("cancel", async () => await calls.cancel(options)),
          poll: async (options) => {
            await reach("poll", "before", jobId);
            const state = await calls.poll(options);
            if (state.kind !== "succeeded") return state;
            unsaved = "poll";
            await reach("poll", "after", jobId);
            return state;
          },
        },
        // The same moments of a film in parts; `poll` is each look that brings something.
        partCalls: {
          open: async (options) => await around("open", async () => await partCalls.open(options)),
          start: async (options) => await around("start", async () => await partCalls.start(options)),
          poll: async (options) => {
            await reach("poll", "before", jobId);
            const sight = await partCalls.poll(options);
            if (sight.outputs.length === 0) return sight;
            unsaved = "poll";
            await reach("poll", "after", jobId);
            return sight;
          },
        },
        media: {
          ...media,
          writeOutputs: async (options) =>
            await around("outputs", async () => await media.writeOutputs(options)),
        },
      },
    );
  };
}

function parse(text: string): FaultPoint {
  const [, point = "", jobs = "1", action = "kill"] = /^([^*=]+)(?:\*(\d+))?(?:=(.+))?$/u.exec(text) ?? [];
  const known = ACTIONS.find((candidate) => candidate === action);
  if (!(FAULT_POINTS as readonly string[]).includes(point) || known === undefined) {
    throw new Error(
      `FAULT_POINT got ${JSON.stringify(text)}: must be one of ${FAULT_POINTS.join(", ")}, with =kill, =stop or =throw`,
    );
  }
  return { point, jobs: Number(jobs), action: known };
}

/** Does what the fault says as soon as enough jobs stand at its point, and once only. */
function faultAt({ point, jobs, action }: FaultPoint) {
  const there = new Set<string>();
  let isOver = false;
  return async (effect: string, moment: Moment, jobId: string): Promise<void> => {
    if (isOver || `${effect}:${moment}` !== point) return;
    there.add(jobId);
    // The others' leases are renewed meanwhile; only the last one goes on.
    while (there.size < jobs) await sleep(5);
    if (isOver) return;
    isOver = true;
    // The log may be lost with the process; standard error tells the watching test that it was this and nothing else.
    writeSync(2, `fault point ${point} reached: ${action}\n`);
    if (action === "throw") throw new Error(`made to fail at ${point}`);
    process.kill(process.pid, action === "kill" ? "SIGKILL" : "SIGSTOP");
    // A frozen process waits for something; when it thaws, its timers run before anything else.
    await sleep(1);
  };
}
