import { MirumojiError } from "../job/errors.ts";
import { callInput, parseHandlerResult } from "./handler-contract.ts";
import type { Step } from "./context.ts";

/** One long poll; well under the 55 s that Modal allows, so that cancels and stops are never late. */
const POLL_MS = 25_000;

/**
 * Starts the GPU call in two phases, so that no paid call is ever unknown to us: open it without input,
 * write its ID down, only then put the input. On resume the call is asked what it has.
 */
export const call: Step<"call"> = async (job, tools) => {
  const { calls } = tools;
  const { signal } = job;
  const input = callInput(job.job, job.facts);
  const functionId = (await tools.runtime()).functionId(job.job.type);
  if (job.facts.callId === undefined) {
    const opened = await calls.open({ functionId, input, signal });
    await job.save({ callId: opened.callId });
    if (!opened.started) await calls.start({ functionId, callId: opened.callId, input, signal });
    return "pending";
  }
  const { callId } = job.facts;
  const state = await calls.poll({ callId, waitMs: POLL_MS, signal });
  if (state.kind === "succeeded") return { callId, result: parseHandlerResult(state.value) };
  if (state.kind === "empty") await calls.start({ functionId, callId, input, signal });
  if (tools.now() - job.enteredAt > tools.callDeadlineMs) {
    throw new MirumojiError(
      "CALL_WAIT_TIMED_OUT",
      `call ${callId} gave no result within ${Math.round(tools.callDeadlineMs / 1000)} s of queueing, start-up and running`,
    );
  }
  return "pending";
};
