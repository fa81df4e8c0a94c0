import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import type { CallInput } from "../../ports/calls.ts";
import { sleep } from "../rpc/abort.ts";
import { modalCalls } from "../calls/calls.ts";
import { statusOf } from "../rpc/grpc-errors.ts";
import { unary } from "../rpc/rpc.ts";
import { modalVolumes } from "../volumes/volumes.ts";
import { FUNCTION_CALL_UNARY, INVOCATION_ASYNC } from "../rpc/wire.ts";
import { type CanaryRun, type CanaryStep, need } from "./step.ts";
import { CANARY_BYTES, CANARY_FILE } from "./volume-steps.ts";

const MARKER_FILE = "canary/holding";
const MARKER_EVERY_MS = 250;
const POLL_MS = 20_000;

/** Values known to differ between CBOR libraries (`modal-wire` 1.8). */
const VALUE = {
  text: "耳 é",
  wide: 2 ** 53 - 1,
  less: -(2 ** 40),
  half: 0.5,
  none: null,
  list: [true, [null]],
};

export const CALL_STEPS: readonly CanaryStep[] = [
  {
    name: "call",
    run: async (run, signal) => {
      const functionId = need(run, "functionIds").canary;
      const input = { args: [CANARY_FILE, need(run, "volumeId"), VALUE], kwargs: {} };
      const { callId, emptyMap } = await start(run, functionId, input, signal);
      const value = await resultOf(run, callId, signal);
      const told = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
      if (!isDeepStrictEqual(told["value"], VALUE))
        throw wrong(callId, "another value than it was given", value);
      const digest = createHash("sha256").update(CANARY_BYTES).digest("hex");
      if (told["sha256"] !== digest || told["sizeBytes"] !== CANARY_BYTES.length) {
        throw wrong(callId, "not the digest of the file in the volume", value);
      }
      return {
        "empty FunctionMap": emptyMap,
        "python there": String(told["python"]),
        "client there": String(told["client"]),
        "volume read there": true,
      };
    },
  },
  {
    name: "cancel",
    run: async (run, signal) => {
      const functionId = need(run, "functionIds").hold;
      const seconds = Math.ceil(run.callWaitMs / 1000);
      const input = { args: [MARKER_FILE, need(run, "volumeId"), seconds], kwargs: {} };
      const { callId } = await start(run, functionId, input, signal);
      const waitedMs = await untilMarked(run, signal);
      const startedAt = performance.now();
      await modalCalls(run.session).cancel({ callId, terminateContainers: false, signal });
      const code = await resultOf(run, callId, signal).then(
        () => "a result",
        (error: unknown) => {
          if (toMirumojiError(error).code !== "FUNCTION_TERMINATED") throw error;
          return null;
        },
      );
      if (code !== null) {
        throw new MirumojiError("FUNCTION_RESULT_INVALID", `call ${callId} was cancelled and gave ${code}`);
      }
      return {
        "ran after, ms": waitedMs,
        "ended after cancel, ms": Math.round(performance.now() - startedAt),
      };
    },
  },
];

/** Opens and starts a call as the worker does, and finds out how the server takes a map without input. */
async function start(
  run: CanaryRun,
  functionId: string,
  input: CallInput,
  signal: AbortSignal,
): Promise<{ callId: string; emptyMap: string }> {
  const calls = modalCalls(run.session);
  const request = {
    functionId,
    functionCallType: FUNCTION_CALL_UNARY,
    functionCallInvocationType: INVOCATION_ASYNC,
  } as const;
  let emptyMap = "accepted";
  let opened = await unary(run.session, "functionMap", request, { signal }).then(
    ({ functionCallId }) => ({ callId: functionCallId, started: false }),
    (thrown: unknown) => {
      emptyMap = `refused (${statusOf(thrown) ?? toMirumojiError(thrown).code}), the fallback was used`;
      return null;
    },
  );
  opened ??= await calls.open({ functionId, input, signal });
  const { callId, started } = opened;
  if (!started) await calls.start({ functionId, callId, input, signal });
  return { callId, emptyMap };
}

async function resultOf(run: CanaryRun, callId: string, signal: AbortSignal): Promise<unknown> {
  const calls = modalCalls(run.session);
  const deadline = performance.now() + run.callWaitMs;
  while (performance.now() < deadline) {
    const waitMs = Math.min(POLL_MS, deadline - performance.now());
    const state = await calls.poll({ callId, waitMs, signal });
    if (state.kind === "succeeded") return state.value;
    if (state.kind === "empty") throw new MirumojiError("CALL_LOST", `call ${callId} has lost its input`);
  }
  throw timedOut(run, `call ${callId} was not over`);
}

/** Waits until the function signals through the volume that it runs. */
async function untilMarked(run: CanaryRun, signal: AbortSignal): Promise<number> {
  const volumes = modalVolumes(run.session);
  const startedAt = performance.now();
  while (performance.now() - startedAt < run.callWaitMs) {
    const entries = await volumes.list({ volumeId: need(run, "volumeId"), path: "canary", signal });
    if (entries.some(({ path }) => path === MARKER_FILE)) return Math.round(performance.now() - startedAt);
    await sleep(MARKER_EVERY_MS, signal);
  }
  throw timedOut(run, "the function that is to be cancelled did not start");
}

function timedOut(run: CanaryRun, what: string): MirumojiError {
  return new MirumojiError("CALL_WAIT_TIMED_OUT", `${what} after ${run.callWaitMs / 1000} s`);
}

function wrong(callId: string, what: string, value: unknown): MirumojiError {
  const text = JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? `${item}n` : item));
  return new MirumojiError("FUNCTION_RESULT_INVALID", `call ${callId} gave ${what}: ${text.slice(0, 300)}`);
}
