import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startGpuHostChild } from "../src/cli/gpu-host-child.ts";
import { toMirumojiError } from "../src/job/errors.ts";
import { inLanes, modalCalls, openModalSession, setupModal } from "../src/modal/index.ts";
import type { FunctionSpec } from "../src/modal/apps/functions.ts";

/** Cost of awaiting many calls in one process; bytes and seconds are this process's own. */
export interface AwaitedCalls {
  readonly what: string;
  readonly calls: number;
  readonly startedPerSecond: number;
  readonly awaitedSeconds: number;
  readonly longPollsInFlight: number;
  readonly longPollsPerSecond: number;
  readonly cpuSecondsPerSecond: number;
  /** Memory once connected and registered, before the first call. */
  readonly residentMiBBefore: number;
  readonly residentMiBAwaiting: number;
  readonly residentKiBPerCall: number;
  readonly eventLoopDelayMsP99: number;
  /** From the first cancel until every await has ended. */
  readonly cancelledWithinSeconds: number;
  /** Then real calls, all awaited at once while the host runs one at a time. */
  readonly resultsAwaited: number;
  readonly resultsRight: number;
}

const RESULTS = 20;
const LANES = 16;
const LONGEST_POLL_MS = 55_000;
/** Abort signal of one call, as a job has it. */
const never = () => new AbortController().signal;

/**
 * Starts calls on a GPU host in a process of its own that runs one at a time. The first one takes that
 * place and does not end, so that all others stay queued while they are awaited; then they are cancelled.
 */
export async function measureCalls(calls: number, awaitedMs: number): Promise<AwaitedCalls> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  process.env["MIRUMOJI_LOGGING_LEVEL"] ??= "warn";
  const host = await startGpuHostChild({ dataFolder: folder });
  const polls = { inFlight: 0, done: 0 };
  const session = openModalSession(host);
  try {
    const runtime = await setupModal(session, {
      image: "example/python:3",
      gpus: [],
      timeoutSeconds: 3600,
      scaledownWindowSeconds: 2,
      handler: {
        transcribe: spec("transcribe", "value"),
        convert: spec("convert", "seconds"),
        sources: [{ localPath: file("./calls-handler.py"), remotePath: "/root/calls_handler.py" }],
      },
    });
    const modal = modalCalls(session);
    const start = async (functionId: string, argument: unknown): Promise<string> => {
      const input = { args: [argument], kwargs: {} };
      const { callId, started } = await modal.open({ functionId, input, signal: never() });
      if (!started) await modal.start({ functionId, callId, input, signal: never() });
      return callId;
    };
    const awaited = async (callId: string): Promise<unknown> => {
      for (;;) {
        polls.inFlight += 1;
        const state = await modal.poll({ callId, waitMs: LONGEST_POLL_MS, signal: never() }).finally(() => {
          polls.inFlight -= 1;
          polls.done += 1;
        });
        if (state.kind === "succeeded") return state.value;
      }
    };
    const cancel = async (callId: string) =>
      await modal.cancel({ callId, terminateContainers: false, signal: never() });

    const residentBefore = process.memoryUsage.rss();
    const blocker = await start(runtime.convert.functionId, 3600);
    const ids: string[] = [];
    const startedAt = performance.now();
    await inLanes(
      Array.from({ length: calls }, (_, index) => index),
      LANES,
      never(),
      async (index) => {
        ids[index] = await start(runtime.transcribe.functionId, index);
      },
    );
    const startedPerSecond = calls / secondsSince(startedAt);

    const ends = ids.map(async (id) => await awaited(id).then(() => "a result", codeOf));
    const loop = monitorEventLoopDelay({ resolution: 10 });
    // The initial burst of requests is no cost of awaiting.
    await sleep(Math.min(2_000, awaitedMs));
    loop.enable();
    const before = { cpu: process.cpuUsage(), polls: polls.done, at: performance.now() };
    await sleep(awaitedMs);
    const awaitedSeconds = secondsSince(before.at);
    const cpu = process.cpuUsage(before.cpu);
    const residentAwaiting = process.memoryUsage.rss();
    const inFlight = polls.inFlight;
    const pollsDone = polls.done - before.polls;
    loop.disable();

    const cancelledAt = performance.now();
    await inLanes(ids, LANES, never(), async (id) => await cancel(id));
    const codes = await Promise.all(ends);
    const cancelledWithinSeconds = secondsSince(cancelledAt);
    const strange = codes.find((code) => code !== "FUNCTION_TERMINATED");
    if (strange !== undefined) throw new Error(`a cancelled call ended with ${strange}`);

    await cancel(blocker);
    const values = Array.from({ length: RESULTS }, (_, index) => index);
    const results = await Promise.all(
      values.map(async (value) => await awaited(await start(runtime.transcribe.functionId, value))),
    );
    await runtime.close();
    return {
      what: "calls queued behind one that runs, awaited by long polls, then cancelled",
      calls,
      startedPerSecond: Math.round(startedPerSecond),
      awaitedSeconds: rounded(awaitedSeconds),
      longPollsInFlight: inFlight,
      longPollsPerSecond: rounded(pollsDone / awaitedSeconds),
      cpuSecondsPerSecond: rounded((cpu.user + cpu.system) / 1e6 / awaitedSeconds, 4),
      residentMiBBefore: Math.round(residentBefore / 2 ** 20),
      residentMiBAwaiting: Math.round(residentAwaiting / 2 ** 20),
      residentKiBPerCall: Math.round((residentAwaiting - residentBefore) / 1024 / calls),
      eventLoopDelayMsP99: rounded(loop.percentile(99) / 1e6),
      cancelledWithinSeconds: rounded(cancelledWithinSeconds),
      resultsAwaited: RESULTS,
      resultsRight: results.filter((result, index) => result === index).length,
    };
  } finally {
    session.close();
    await host.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function spec(name: string, parameter: string): FunctionSpec {
  return {
    tag: name,
    module: "calls_handler",
    implementation: name,
    parameters: [{ name: parameter, hasDefault: false }],
  };
}

function file(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

function codeOf(thrown: unknown): string {
  return toMirumojiError(thrown).code;
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1000;
}

function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
