import type { MediaFiles } from "../ports/media.ts";
import { openInput } from "./input.ts";
import { rememberingLook } from "./look-inside.ts";
import type { MediaRoot } from "./media-root.ts";
import { checkOutput, removePartialOutput } from "./output.ts";
import { storageGate } from "./storage-gate.ts";
import { writeOutputs } from "./write-outputs.ts";

/** The files of jobs, all inside one media root. */
export function createMediaFiles(root: MediaRoot): MediaFiles {
  const look = rememberingLook();
  const gate = storageGate();
  return {
    openInput: async (options) => await openInput(root, { look, gate }, options),
    checkOutputs: async ({ outputs, signal, ...rules }) =>
      await gate({ path: outputs[0]?.path ?? ".", signal }, async () => {
        const places: string[] = [];
        for (const output of outputs) places.push(await checkOutput(root, output, rules));
        return places;
      }),
    writeOutputs: async (options) => await writeOutputs(root, gate, options),
    removePartialOutputs: async ({ jobId, outputs, signal }) =>
      await gate({ path: outputs[0]?.path ?? ".", signal }, async () => {
        for (const output of outputs) await removePartialOutput(root, jobId, output);
      }),
  };
}
