import { toMirumojiError } from "../job/errors.ts";
import { planOutputs } from "../job/paths.ts";
import type { Step } from "./context.ts";

/** Longest wait for a mount on which only temporary names are left to remove. */
const CLEAN_UP_MS = 10_000;

/** Deletes the volume, where one that is gone already is fine, and the temporary names of outputs that are written down. */
export const deleteVolume: Step<"deleteVolume"> = async (step, { volumes, media }) => {
  const { id, request, facts, signal } = step;
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(CLEAN_UP_MS)]);
  const removed = media
    .removePartialOutputs({ jobId: id, outputs: planOutputs(request), signal: inTime })
    .catch((error: unknown) => step.warn(`temporary files stay: ${toMirumojiError(error).message}`));
  await volumes.delete({ volumeId: facts.volumeId, signal });
  await removed;
  return {};
};
