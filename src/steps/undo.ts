import { planOutputs } from "../job/paths.ts";
import { undoActions, type UndoAction, type WorkingState } from "../job/machine.ts";
import type { StepJob, StepTools } from "./context.ts";

/** Undoes what the job did, newest first. Every action may be repeated. */
export async function undo(job: StepJob<"undo">, tools: StepTools, from: WorkingState): Promise<void> {
  for (const action of undoActions(from)) await UNDO[action](job, tools);
}

const UNDO: Record<UndoAction, (job: StepJob<"undo">, tools: StepTools) => Promise<void>> = {
  removePartialOutputs: async ({ id, job }, { media }) => {
    await media.removePartialOutputs({ jobId: id, outputs: planOutputs(job) });
  },
  cancelCall: async ({ facts, signal }, { calls }) => {
    if (facts.callId === undefined || facts.result !== undefined) return;
    await calls.cancel({ callId: facts.callId, terminateContainers: true, signal });
  },
  deleteVolume: async ({ facts, signal }, { volumes }) => {
    if (facts.volumeId === undefined) return;
    await volumes.delete({ volumeId: facts.volumeId, signal });
  },
};
