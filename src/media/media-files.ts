import type { MediaFiles } from "../ports/media.ts";
import { openInput } from "./input.ts";
import { rememberingLook } from "./look-inside.ts";
import type { MediaRoot } from "./media-root.ts";
import { checkOutput, removePartialOutput, writeOutputs } from "./output.ts";

/** The files of jobs, all inside one media root. */
export function createMediaFiles(root: MediaRoot): MediaFiles {
  const look = rememberingLook();
  return {
    openInput: async (options) => await openInput(root, look, options),
    checkOutputs: async (outputs) => {
      for (const output of outputs) await checkOutput(root, output);
    },
    writeOutputs: async (options) => await writeOutputs(root, options),
    removePartialOutputs: async ({ jobId, outputs }) => {
      for (const output of outputs) await removePartialOutput(root, jobId, output);
    },
  };
}
