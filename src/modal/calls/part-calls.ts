import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import type { PartCalls, PartOutput, PartsSight, PlacedInput } from "../../ports/part-calls.ts";
import { sleep } from "../rpc/abort.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { FUNCTION_CALL_MAP, INVOCATION_ASYNC, LONG_POLL_GRACE_MS, LONG_POLL_SECONDS } from "../rpc/wire.ts";
import {
  CALL_GONE,
  FIRST_ENTRY_ID,
  FUNCTION_GONE,
  isInputNeeded,
  NOT_STARTED,
  putItem,
  runSeconds,
} from "./call-wire.ts";
import { type CallOutput, valueOf } from "./call-result.ts";

/** Outputs of one look. Each may be a blob that is fetched. */
const MOST_OUTPUTS = 100;
/** So long an input that was put here is not believed to be missing: it would be paid again. */
const UNSEEN_MS = 60_000;
/** Pause before what looks missing is checked a second time. */
const CONFIRM_AFTER_MS = 1_000;

type PollOptions = Parameters<PartCalls["poll"]>[0];

/** Calls of type map over the raw control plane: one ID, many inputs. */
export function modalPartCalls(
  session: ModalSession,
  { onFunctionLost }: { readonly onFunctionLost?: (functionId: string) => void } = {},
): PartCalls {
  /** When inputs of a call were put from here last, on the steady clock; none where that is not sure. */
  const putAt = new Map<string, number>();
  const isFresh = (callId: string): boolean =>
    performance.now() - (putAt.get(callId) ?? -Infinity) < UNSEEN_MS;
  return {
    async open({ functionId, inputs, signal }) {
      const map = {
        functionId,
        functionCallType: FUNCTION_CALL_MAP,
        functionCallInvocationType: INVOCATION_ASYNC,
      } as const;
      const options = { signal, codes: FUNCTION_GONE };
      try {
        try {
          const { functionCallId } = await unary(session, "functionMap", map, options);
          return { callId: functionCallId, started: false };
        } catch (thrown) {
          if (!isInputNeeded(thrown)) throw thrown;
        }
        const pipelinedInputs = await itemsOf(session, inputs, signal);
        const answer = await unary(session, "functionMap", { ...map, pipelinedInputs }, options);
        return { callId: answer.functionCallId, started: answer.pipelinedInputs.length > 0 };
      } catch (thrown) {
        if (toMirumojiError(thrown).code === "APP_LOST") onFunctionLost?.(functionId);
        throw thrown;
      }
    },

    async start({ functionId, callId, inputs, signal }) {
      const items = await itemsOf(session, inputs, signal);
      for (const known of putAt.keys()) if (known === callId || !isFresh(known)) putAt.delete(known);
      const answer = await unary(
        session,
        "functionPutInputs",
        { functionId, functionCallId: callId, inputs: items },
        { signal, codes: NOT_STARTED },
      );
      if (answer.inputs.length < items.length) {
        throw new MirumojiError("MODAL_THROTTLED", "Modal FunctionPutInputs: the function's queue is full");
      }
      putAt.set(callId, performance.now());
    },

    async poll(options) {
      const { callId, signal } = options;
      if (!putAt.has(callId)) {
        // Another process put the inputs, or the answer was lost: servers may need a moment until they are counted.
        await sleep(CONFIRM_AFTER_MS, signal);
        const sight = await look(session, { ...options, waitMs: 0 });
        const inputs = await countInputs(session, options);
        putAt.set(callId, performance.now() - UNSEEN_MS);
        return { ...sight, inputs };
      }
      const sight = await look(session, options);
      if (sight.outputs.length > 0 || sight.unfinished > 0 || isFresh(callId)) return sight;
      await sleep(CONFIRM_AFTER_MS, signal);
      const again = await look(session, { ...options, waitMs: 0 });
      return { ...again, inputs: await countInputs(session, options) };
    },
  };
}

async function itemsOf(session: ModalSession, inputs: readonly PlacedInput[], signal: AbortSignal) {
  return await Promise.all(
    inputs.map(async ({ idx, input }) => ({ ...(await putItem(session, input, signal)), idx })),
  );
}

async function look(session: ModalSession, options: PollOptions): Promise<PartsSight> {
  const { callId, cursor, waitMs, signal } = options;
  const timeout = Math.min(waitMs / 1000, LONG_POLL_SECONDS);
  const { outputs, lastEntryId, numUnfinishedInputs } = await unary(
    session,
    "functionGetOutputs",
    {
      functionCallId: callId,
      maxValues: MOST_OUTPUTS,
      timeout,
      lastEntryId: cursor ?? FIRST_ENTRY_ID,
      // True would let the server forget the result before it is checkpointed here.
      clearOnSuccess: false,
      requestedAt: Date.now() / 1000,
    },
    { signal, timeoutMs: timeout * 1000 + LONG_POLL_GRACE_MS, codes: CALL_GONE },
  );
  return {
    outputs: await Promise.all(
      outputs.map(async (output) => await readOutput(session, callId, output, signal)),
    ),
    cursor: lastEntryId || (cursor ?? FIRST_ENTRY_ID),
    unfinished: numUnfinishedInputs,
    inputs: null,
  };
}

/** An output, or why there is none. Trouble on the way to it is no failure of the function. */
async function readOutput(
  session: ModalSession,
  callId: string,
  output: CallOutput,
  signal: AbortSignal,
): Promise<PartOutput> {
  const about = { idx: output.idx, runSeconds: runSeconds(output) };
  try {
    return { ...about, end: { value: await valueOf(session, callId, output, signal) } };
  } catch (thrown) {
    const error = toMirumojiError(thrown);
    if (error.kind !== "remote" && error.kind !== "lost" && error.kind !== "input") throw thrown;
    return { ...about, end: { error } };
  }
}

async function countInputs(session: ModalSession, { callId, signal }: PollOptions): Promise<number> {
  const { numInputs } = await unary(
    session,
    "functionCallFromId",
    { functionCallId: callId },
    { signal, codes: CALL_GONE },
  );
  return numInputs;
}
