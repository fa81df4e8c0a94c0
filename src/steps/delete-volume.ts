import type { Step } from "./context.ts";

/** Deletes the volume; one that is gone already is fine. */
export const deleteVolume: Step<"deleteVolume"> = async ({ facts, signal }, { volumes }) => {
  await volumes.delete({ volumeId: facts.volumeId, signal });
  return {};
};
