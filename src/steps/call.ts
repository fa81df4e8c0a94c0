import { z } from "zod";
import { MirumojiError } from "../job/errors.ts";
import type { RemoteResult } from "../job/facts.ts";
import { findCached } from "./cached-transcript.ts";
import { functionFor, mayCopy } from "./call-ahead.ts";
import { callInput } from "./call-input.ts";
import { callParts } from "./call-parts.ts";
import { POLL_MS, throwRealCause } from "./call-trouble.ts";
import { parseHandlerResult } from "./handler-contract.ts";
import { parseImageResult } from "./image-function.ts";
import type { Step, StepJob, StepTools } from "./context.ts";
import type { CallState } from "../ports/calls.ts";

/**
 * Starts the GPU call, if the spending limits allow it, in two phases, so that every paid call is on record: opens it without input, stores its ID, and
 * only then puts the input. On resume it polls the recorded call.
 */
export const call: Step<"call"> = async (step, tools) => {
  const { calls } = tools;
  const { signal } = step;
  if (step.facts.callId === undefined) {
    const cached = await findCached(step, tools);
    if (cached !== null) return { result: cached };
  }
  if (step.facts.parts !== undefined && (await takesParts(step, tools))) return await callParts(step, tools);
  if (step.facts.callId === undefined) return await openCall(step, tools, mayCopy(step.request));
  const { callId, appId, imageFunction, withoutGpu = false } = step.facts;
  const state = await pollCall(callId, step, tools);
  if (state.kind === "succeeded") {
    const { runSeconds } = state;
    if (withoutGpu && needsGpu(state.value)) return await openCall(step, tools, false);
    return { callId, result: await resultOf(step, state), ...(runSeconds === null ? {} : { runSeconds }) };
  }
  if (state.kind === "empty") {
    const runtime = await tools.runtime(signal);
    if (runtime.appId !== appId || runtime.imageFunctions[step.request.type] !== imageFunction) {
      throw new MirumojiError("CALL_LOST", `call ${callId} was opened in app ${appId} and never started`);
    }
    const input = callInput(step.request, step.facts, { imageFunction, models: tools.models });
    const functionId = functionFor(runtime, step.request, withoutGpu);
    await calls.start({ functionId, callId, input, signal });
  }
  if (tools.now() - step.enteredAt > tools.callDeadlineMs) {
    throw new MirumojiError(
      "CALL_WAIT_TIMED_OUT",
      `call ${callId} gave no result within ${Math.round(tools.callDeadlineMs / 1000)} s of queueing, start-up and running`,
    );
  }
  return "pending";
};

/** Whether parts of the film are called. A call that was begun goes on as it is. */
async function takesParts(step: StepJob<"call">, tools: StepTools): Promise<boolean> {
  const { callId, partInputs, parallel } = step.facts;
  if (callId !== undefined) return partInputs !== undefined;
  if ((await tools.runtime(step.signal)).takesParts) return true;
  const why = "the function is not this worker's own";
  await step.save({
    parts: undefined,
    parallel: parallel && { asked: parallel.asked, containers: 1, parts: 1, why },
  });
  return false;
}

/** Opens a call without input, stores its ID, and only then puts the input. */
async function openCall(step: StepJob<"call">, tools: StepTools, isCopy: boolean): Promise<"pending"> {
  const { calls } = tools;
  const { signal } = step;
  const runtime = await tools.runtime(signal);
  const withoutGpu = isCopy && runtime.remuxId !== null;
  const functionId = functionFor(runtime, step.request, withoutGpu);
  const imageFunction = runtime.imageFunctions[step.request.type];
  const input = callInput(step.request, step.facts, { imageFunction, models: tools.models });
  await step.reserve({ withoutGpu });
  const opened = await calls.open({ functionId, input, signal });
  // The kind of result belongs to the call: another worker may be set up differently.
  await step.save({
    callId: opened.callId,
    callOpenedAt: tools.now(),
    appId: runtime.appId,
    imageFunction,
    withoutGpu,
  });
  if (!opened.started) await calls.start({ functionId, callId: opened.callId, input, signal });
  return "pending";
}

/** Whether the function without a GPU found that the film has to be encoded. */
function needsGpu(value: unknown): boolean {
  const parsed = z.object({ error: z.object({ code: z.literal("NEEDS_GPU") }) }).safeParse(value);
  return parsed.success;
}

async function resultOf(
  { request, facts }: StepJob<"call">,
  { value, runSeconds }: Extract<CallState, { kind: "succeeded" }>,
): Promise<RemoteResult> {
  const name = facts.imageFunction;
  if (name === undefined) return parseHandlerResult(value);
  return await parseImageResult(value, { name, job: request, facts, runSeconds });
}

async function pollCall(callId: string, step: StepJob<"call">, tools: StepTools): Promise<CallState> {
  try {
    return await tools.calls.poll({ callId, waitMs: POLL_MS, signal: step.signal });
  } catch (error) {
    if (error instanceof MirumojiError) await throwRealCause(error, step, tools);
    throw error;
  }
}
