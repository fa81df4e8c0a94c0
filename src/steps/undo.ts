import { planOutputs } from "../job/paths.ts";
import { undoActions, type UndoAction, type WorkingState } from "../job/machine.ts";
import { keepPartial } from "./keep-partial.ts";
import { toMirumojiError } from "../job/errors.ts";
import type { StepJob, StepTools } from "./context.ts";
import type { PartCalls, PartsSight } from "../ports/part-calls.ts";

/** Longest wait for a mount that does not answer. */
const FILES_MS = 30_000;

/**
 * Undoes what the job did, newest first. Every action may be repeated. Files are removed meanwhile: a mount that hangs
 * must not keep a call running.
 */
export async function undo(
  step: StepJob<"undo">,
  tools: StepTools,
  { from, keepsVolume = false }: { readonly from: WorkingState; readonly keepsVolume?: boolean },
): Promise<void> {
  const actions = undoActions(from).filter((action) => !(keepsVolume && action === "deleteVolume"));
  const files = actions.filter((action) => isAboutFiles(action));
  const remote = actions.filter((action) => !isAboutFiles(action));
  const removed = Promise.all(files.map(async (action) => await UNDO[action](step, tools)));
  // Told in the end; what is remote comes first.
  removed.catch(() => undefined);
  for (const action of remote) await UNDO[action](step, tools);
  await removed;
}

function isAboutFiles(action: UndoAction): boolean {
  return action === "removePartialOutputs";
}

/** How long a container may take to stop by itself before it is terminated. */
const SOFT_STOP_MS = 3000;

interface StoppedCall {
  readonly callId: string;
  readonly isInParts: boolean;
}

type CallTools = Pick<StepTools, "calls" | "partCalls">;

/** Asks the call to stop; a container that does not listen is terminated. */
async function stopCall(call: StoppedCall, tools: CallTools, signal: AbortSignal): Promise<void> {
  const { callId } = call;
  await tools.calls.cancel({ callId, terminateContainers: false, signal });
  if (await isOver(call, tools, signal)) return;
  await tools.calls.cancel({ callId, terminateContainers: true, signal });
}

async function isOver(
  { callId, isInParts }: StoppedCall,
  { calls, partCalls }: CallTools,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    if (isInParts) return await areOver(callId, partCalls, signal);
    const state = await calls.poll({ callId, waitMs: SOFT_STOP_MS, signal });
    return state.kind !== "running";
  } catch (error) {
    signal.throwIfAborted();
    // Every final result of a cancelled call is an error of its own; what cannot be asked is not over.
    const { kind } = toMirumojiError(error);
    return kind === "remote" || kind === "lost" || kind === "input";
  }
}

/** Whether all parts of a call end within a while. */
async function areOver(callId: string, partCalls: PartCalls, signal: AbortSignal): Promise<boolean> {
  const until = performance.now() + SOFT_STOP_MS;
  let cursor: string | null = null;
  for (;;) {
    const waitMs = Math.max(0, until - performance.now());
    const sight: PartsSight = await partCalls.poll({ callId, cursor, waitMs, signal });
    if (sight.unfinished === 0 || waitMs === 0) return sight.unfinished === 0;
    ({ cursor } = sight);
  }
}

const UNDO: Record<UndoAction, (step: StepJob<"undo">, tools: StepTools) => Promise<void>> = {
  removePartialOutputs: async ({ id, request, facts, signal }, { media }) => {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(FILES_MS)]);
    const { outputUploads: uploads } = facts;
    await media.removePartialOutputs({ jobId: id, outputs: planOutputs(request), uploads, signal: inTime });
  },
  cancelCall: async ({ facts, signal }, tools) => {
    const { callId, result, partInputs } = facts;
    if (callId === undefined || result !== undefined) return;
    await stopCall({ callId, isInParts: partInputs !== undefined }, tools, signal);
  },
  deleteVolume: async (step, tools) => {
    const { volumeId } = step.facts;
    if (volumeId === undefined) return;
    await keepPartial(step, tools);
    await tools.volumes.delete({ volumeId, signal: step.signal });
  },
};
