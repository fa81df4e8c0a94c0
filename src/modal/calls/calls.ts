import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import type { CallState, Calls } from "../../ports/calls.ts";
import { sleep } from "../rpc/abort.ts";
import { FIRST_LOOK_MS, FirstLooks, OpenedAhead } from "./ahead.ts";
import { followLogs } from "./call-logs.ts";
import { valueOf } from "./call-result.ts";
import {
  CALL_GONE,
  FIRST_ENTRY_ID,
  FUNCTION_GONE,
  isInputNeeded,
  NOT_STARTED,
  putItem,
  runSeconds,
} from "./call-wire.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { FUNCTION_CALL_UNARY, INVOCATION_ASYNC, LONG_POLL_GRACE_MS, LONG_POLL_SECONDS } from "../rpc/wire.ts";

/** So long a call that was put here is not believed to be empty: it would be paid again. */
const UNSEEN_MS = 60_000;
/** The same where the putting failed, which may have been its answer only. */
const UNSURE_MS = 5_000;

/** Pause before a call that looks empty or lost is checked a second time. */
const CONFIRM_AFTER_MS = 1_000;

type PollOptions = Parameters<Calls["poll"]>[0];
/** Calls over the raw control plane. All are asynchronous: their input and result outlive this process. */
export function modalCalls(
  session: ModalSession,
  {
    onFunctionLost,
  }: {
    /** Called when a function is gone, or its app is stopped. */
    readonly onFunctionLost?: (functionId: string) => void;
  } = {},
): Calls {
  /** When the input of a call was put from here, on the steady clock. */
  const putAt = new Map<string, number>();
  const isFresh = (callId: string): boolean =>
    performance.now() - (putAt.get(callId) ?? -Infinity) < UNSEEN_MS;
  const ahead = new OpenedAhead();
  const firstLooks = new FirstLooks();
  return {
    openAhead: ({ functionId }) => {
      ahead.add(functionId, openEmpty(session, functionId));
    },

    open: async (options) => {
      const callId = await ahead.take(options.functionId, options.signal);
      if (callId !== null) return { callId, started: false };
      try {
        return await open(session, options);
      } catch (thrown) {
        if (toMirumojiError(thrown).code === "APP_LOST") onFunctionLost?.(options.functionId);
        throw thrown;
      }
    },

    start: async ({ functionId, callId, input, signal }) => {
      const item = await putItem(session, input, signal);
      for (const known of putAt.keys()) if (!isFresh(known)) putAt.delete(known);
      // Before it is sent: the answer may be lost.
      putAt.set(callId, performance.now());
      const putting = unary(
        session,
        "functionPutInputs",
        { functionId, functionCallId: callId, inputs: [item] },
        { signal, codes: NOT_STARTED },
      );
      // Right behind it: a short call may be over by the time that its start is answered.
      firstLooks.begin(
        callId,
        async (stop) => await outputOf(session, { callId, waitMs: FIRST_LOOK_MS, signal: stop }),
      );
      const { inputs } = await putting.catch((error: unknown) => {
        firstLooks.drop(callId);
        // Done or not: it probably was not, and the job need not wait a minute for it.
        putAt.set(callId, performance.now() - UNSEEN_MS + UNSURE_MS);
        throw error;
      });
      if (inputs.length === 0) {
        firstLooks.drop(callId);
        putAt.delete(callId);
        throw new MirumojiError("MODAL_THROTTLED", "Modal FunctionPutInputs: the function's queue is full");
      }
    },

    poll: async (options) => {
      const first = await firstLooks.take(options.callId, options);
      if (first !== null) return first;
      const state = await poll(session, options);
      return state.kind === "empty" && isFresh(options.callId) ? { kind: "running" } : state;
    },

    cancel: async ({ callId, terminateContainers, signal }) => {
      firstLooks.drop(callId);
      try {
        await unary(
          session,
          "functionCallCancel",
          { functionCallId: callId, terminateContainers },
          { signal, codes: CALL_GONE },
        );
      } catch (thrown) {
        if (toMirumojiError(thrown).code !== "CALL_LOST") throw thrown;
      }
    },

    followLogs: async (options) => await followLogs(session, options),
  };
}

async function open(
  session: ModalSession,
  { functionId, input, signal }: Parameters<Calls["open"]>[0],
): Promise<{ callId: string; started: boolean }> {
  const options = { signal, codes: FUNCTION_GONE };
  try {
    return { callId: await openEmpty(session, functionId, signal), started: false };
  } catch (thrown) {
    if (!isInputNeeded(thrown)) throw thrown;
  }
  const pipelinedInputs = [await putItem(session, input, signal)];
  const answer = await unary(session, "functionMap", { ...mapOf(functionId), pipelinedInputs }, options);
  // A server that does not echo the input has not taken it (`modal-wire` 2.7): it is still to be put.
  return { callId: answer.functionCallId, started: answer.pipelinedInputs.length > 0 };
}

async function openEmpty(session: ModalSession, functionId: string, signal?: AbortSignal): Promise<string> {
  const { functionCallId } = await unary(session, "functionMap", mapOf(functionId), {
    signal,
    codes: FUNCTION_GONE,
  });
  return functionCallId;
}

function mapOf(functionId: string) {
  return {
    functionId,
    functionCallType: FUNCTION_CALL_UNARY,
    functionCallInvocationType: INVOCATION_ASYNC,
  } as const;
}

/** Result of one poll of a call; `lost` where the server has neither an output nor an input of it. */
type Sight = CallState | { readonly kind: "lost" };

/**
 * Polls a call. A lost or empty call is only believed when seen twice: servers may need a moment until an
 * input that was just put is counted, and believing it too early means paying for the call again.
 */
async function poll(session: ModalSession, options: PollOptions): Promise<CallState> {
  const first = await look(session, options);
  if (first.kind === "succeeded" || first.kind === "running") return first;
  await sleep(CONFIRM_AFTER_MS, options.signal);
  const second = await look(session, { ...options, waitMs: 0 });
  if (second.kind !== "lost") return second;
  throw new MirumojiError(
    "CALL_LOST",
    `call ${options.callId}: the server does not know it, or its result has expired; it is called again`,
  );
}

async function look(session: ModalSession, options: PollOptions): Promise<Sight> {
  try {
    return await lookOnce(session, options);
  } catch (thrown) {
    if (toMirumojiError(thrown).code === "CALL_LOST") return { kind: "lost" };
    throw thrown;
  }
}

async function lookOnce(session: ModalSession, options: PollOptions): Promise<Sight> {
  const state = await outputOf(session, options);
  if (state !== null) return state;
  const { callId, signal } = options;
  const { numInputs } = await unary(
    session,
    "functionCallFromId",
    { functionCallId: callId },
    { signal, codes: CALL_GONE },
  );
  return { kind: numInputs === 0 ? "empty" : "lost" };
}

/** Asks for the output; null where the server has neither one nor an input that runs. */
async function outputOf(
  session: ModalSession,
  { callId, waitMs, signal }: PollOptions,
): Promise<CallState | null> {
  const timeout = Math.min(waitMs / 1000, LONG_POLL_SECONDS);
  const { outputs, numUnfinishedInputs } = await unary(
    session,
    "functionGetOutputs",
    {
      functionCallId: callId,
      maxValues: 1,
      timeout,
      lastEntryId: FIRST_ENTRY_ID,
      // True would let the server forget the result before it is checkpointed here.
      clearOnSuccess: false,
      requestedAt: Date.now() / 1000,
      startIdx: 0,
      endIdx: 0,
    },
    { signal, timeoutMs: timeout * 1000 + LONG_POLL_GRACE_MS, codes: CALL_GONE },
  );
  const output = outputs[0];
  if (output !== undefined) {
    return {
      kind: "succeeded",
      value: await valueOf(session, callId, output, signal),
      runSeconds: runSeconds(output),
    };
  }
  return numUnfinishedInputs > 0 ? { kind: "running" } : null;
}
