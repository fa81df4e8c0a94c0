import { MirumojiError } from "../job/errors.ts";
import type { FileResult, FilmPart, Gained, PartInput } from "../job/facts.ts";
import { paidSeconds } from "../job/receipt.ts";
import type { PartOutput, PlacedInput } from "../ports/part-calls.ts";
import { callInput } from "./call-input.ts";
import { POLL_MS, throwRealCause } from "./call-trouble.ts";
import type { StepJob, StepTools } from "./context.ts";
import { parseHandlerResult } from "./handler-contract.ts";
import { otherLanguages, resultOfParts } from "./parts-result.ts";

/** How often a part may be made in vain by what is not its fault, and by what may be. */
const MOST_LOSSES = 4;
const MOST_FAILURES = 2;

/**
 * Calls the function for the parts of a film, some at a time, as inputs of one call: one ID, written down before the
 * first input is put. Each output is taken in as it comes; parts that failed are made again in a call of their own,
 * those that are there never are.
 */
export async function callParts(
  step: StepJob<"call">,
  tools: StepTools,
): Promise<Gained<"call"> | "pending"> {
  const { signal } = step;
  const { callId, partInputs: known = [], partCursor = null, parts: before = [] } = step.facts;
  if (callId === undefined) return await openParts(step, tools, before);
  if (isAllIn(known, before)) return await settle(step, tools, { callId, parts: before, inputs: known });
  const sight = await tools.partCalls.poll({ callId, cursor: partCursor, waitMs: POLL_MS, signal });
  const { parts, ended, failure } = await takeIn(sight.outputs, { step, tools, known, before });
  const missing =
    sight.inputs === null ? [] : ended.slice(sight.inputs).map((_, idx) => idx + (sight.inputs ?? 0));
  const isOver = failure !== null;
  const inputs = isOver ? ended : withNext(ended, parts, { slots: slotsOf(step), now: tools.now() });
  if (sight.outputs.length > 0 || inputs.length > known.length) {
    await step.save({ parts, partInputs: inputs, partCursor: sight.cursor });
  }
  if (failure !== null) throw failure;
  const toPut = [...missing, ...inputs.slice(known.length).map((_, index) => known.length + index)];
  if (toPut.length > 0) await putInputs(step, tools, { callId, parts, inputs, places: toPut });
  if (inputs.some(({ seconds }) => seconds === undefined)) {
    const isForgotten = sight.inputs !== null && sight.unfinished === 0 && toPut.length === 0;
    if (isForgotten && sight.outputs.length === 0) {
      throw new MirumojiError("CALL_LOST", `call ${callId}: outputs of its parts have expired`);
    }
    return waiting(step, tools, callId);
  }
  return await settle(step, tools, { callId, parts, inputs });
}

/** Whether there is nothing to wait for any more. */
function isAllIn(inputs: readonly PartInput[], parts: readonly FilmPart[]): boolean {
  const taken = new Set(inputs.map(({ part }) => part));
  const isEnded = inputs.every(({ seconds }) => seconds !== undefined);
  return isEnded && parts.every(({ result }, part) => result !== undefined || taken.has(part));
}

/** Gives the result when every part has its own; else those that have none are called again. */
async function settle(
  step: StepJob<"call">,
  tools: StepTools,
  { callId, parts, inputs }: { callId: string; parts: FilmPart[]; inputs: PartInput[] },
): Promise<Gained<"call"> | "pending"> {
  const settled = otherLanguages(step.request, parts);
  if (settled.some(({ result }) => result === undefined)) {
    // Booked first: what is held for the next call must not be given back with the end of this one.
    const ended = {
      callId: undefined,
      callOpenedAt: undefined,
      partInputs: undefined,
      partCursor: undefined,
    };
    await step.save({ ...ended, parts: settled });
    return await openParts(step, tools, settled);
  }
  return {
    callId,
    result: resultOfParts(step.request, settled),
    runSeconds: paidSeconds(inputs, tools.now()),
  };
}

function waiting(step: StepJob<"call">, tools: StepTools, callId: string): "pending" {
  if (tools.now() - step.enteredAt <= tools.callDeadlineMs) return "pending";
  throw new MirumojiError(
    "CALL_WAIT_TIMED_OUT",
    `call ${callId} gave no result within ${Math.round(tools.callDeadlineMs / 1000)} s of queueing, start-up and running`,
  );
}

function slotsOf({ facts }: StepJob<"call">): number {
  return Math.max(1, facts.parallel?.containers ?? 1);
}

/** Opens a call for the parts that have no result, and puts as many of them as may run at the same time. */
async function openParts(step: StepJob<"call">, tools: StepTools, parts: FilmPart[]): Promise<"pending"> {
  const { signal } = step;
  const runtime = await tools.runtime(signal);
  const slots = slotsOf(step);
  const inputs = withNext([], parts, { slots, now: tools.now() });
  const functionId = runtime.functionId("transcribe");
  const open = parts.filter(({ result }) => result === undefined);
  await step.reserve({
    containers: Math.min(slots, open.length),
    mediaSeconds: open.reduce((sum, { start, end }) => sum + end - start, 0),
  });
  const placed = inputsAt(step, tools, { parts, inputs, places: inputs.map((_, idx) => idx) });
  const opened = await tools.partCalls.open({ functionId, inputs: placed, signal });
  const { callId } = opened;
  await step.save({
    callId,
    callOpenedAt: tools.now(),
    appId: runtime.appId,
    parts,
    partInputs: inputs,
    partCursor: undefined,
  });
  if (!opened.started) await tools.partCalls.start({ functionId, callId, inputs: placed, signal });
  return "pending";
}

/** Inputs of a call with the next ones, so that as many parts run as may; none twice in one call. */
function withNext(
  inputs: readonly PartInput[],
  parts: readonly FilmPart[],
  { slots, now }: { readonly slots: number; readonly now: number },
): PartInput[] {
  const taken = new Set(inputs.map(({ part }) => part));
  const running = inputs.filter(({ seconds }) => seconds === undefined).length;
  const next = parts
    .flatMap(({ result }, part) => (result === undefined && !taken.has(part) ? [part] : []))
    .slice(0, Math.max(0, slots - running));
  return [...inputs, ...next.map((part) => ({ part, sentAt: now }))];
}

interface Places {
  readonly parts: readonly FilmPart[];
  readonly inputs: readonly PartInput[];
  readonly places: readonly number[];
}

function inputsAt(step: StepJob<"call">, tools: StepTools, { parts, inputs, places }: Places): PlacedInput[] {
  return places.flatMap((idx) => {
    const number = inputs[idx]?.part;
    const part = number === undefined ? undefined : parts[number];
    if (number === undefined || part === undefined) return [];
    const { start, end, language } = part;
    const input = callInput(step.request, step.facts, {
      imageFunction: undefined,
      models: tools.models,
      part: { number, start, end, language },
    });
    return [{ idx, input }];
  });
}

/** Puts inputs that are written down into the call. */
async function putInputs(
  step: StepJob<"call">,
  tools: StepTools,
  { callId, ...places }: Places & { readonly callId: string },
): Promise<void> {
  const runtime = await tools.runtime(step.signal);
  if (runtime.appId !== step.facts.appId || !runtime.takesParts) {
    throw new MirumojiError(
      "CALL_LOST",
      `call ${callId} was opened in app ${step.facts.appId}, which is gone`,
    );
  }
  const inputs = inputsAt(step, tools, places);
  const functionId = runtime.functionId("transcribe");
  await tools.partCalls.start({ functionId, callId, inputs, signal: step.signal });
}

/** The parts and inputs after outputs came, and the failure that ends the call, if one does. */
async function takeIn(
  outputs: readonly PartOutput[],
  about: {
    readonly step: StepJob<"call">;
    readonly tools: StepTools;
    readonly known: readonly PartInput[];
    readonly before: readonly FilmPart[];
  },
): Promise<{ parts: FilmPart[]; ended: PartInput[]; failure: MirumojiError | null }> {
  const { step, tools, known, before } = about;
  const parts = [...before];
  const ended = [...known];
  let failure: MirumojiError | null = null;
  for (const { idx, end, runSeconds } of outputs) {
    const input = ended[idx];
    const part = input === undefined ? undefined : parts[input.part];
    if (input === undefined || part === undefined || input.seconds !== undefined) continue;
    ended[idx] = { ...input, seconds: runSeconds ?? Math.max(0, tools.now() - input.sentAt) / 1000 };
    const made = await resultOf(end, part, { step, tools });
    if (!(made instanceof MirumojiError)) {
      parts[input.part] = { ...part, result: made };
      continue;
    }
    const failures = part.failures + 1;
    parts[input.part] = { ...part, failures };
    step.warn(`part ${input.part + 1} of ${parts.length}: ${made.code}: ${made.message}`);
    if (isFinal(made, failures)) failure ??= made;
  }
  return { parts, ended, failure };
}

/** The result of an output, or the error that is behind it. */
async function resultOf(
  end: PartOutput["end"],
  part: FilmPart,
  { step, tools }: { readonly step: StepJob<"call">; readonly tools: StepTools },
): Promise<FileResult | MirumojiError> {
  try {
    if ("value" in end) return checkedLength(parseHandlerResult(end.value), part);
    await throwRealCause(end.error, step, tools);
    return end.error;
  } catch (thrown) {
    // Trouble with asking is none of the part's.
    const isAbout = thrown instanceof MirumojiError && ("value" in end || thrown.kind === "lost");
    if (!isAbout) throw thrown;
    return thrown;
  }
}

/** The result of a handler that has heard the part, not all of the film. */
function checkedLength(result: FileResult, { start, end }: FilmPart): FileResult {
  if (result.mediaSeconds <= end - start + 1) return result;
  throw new MirumojiError(
    "FUNCTION_RESULT_INVALID",
    `the function heard ${result.mediaSeconds.toFixed(1)} s in a part of ${(end - start).toFixed(1)} s; a handler of ` +
      "your own has to know the option `part`, or leave `parallel` out",
  );
}

/** Whether a part need not be tried again. */
function isFinal({ code, kind }: MirumojiError, failures: number): boolean {
  if (code === "VOLUME_LOST" || code === "CALL_LOST" || code === "FUNCTION_TERMINATED") return true;
  if (kind === "lost") return failures >= MOST_LOSSES;
  return kind !== "remote" || failures >= MOST_FAILURES;
}
