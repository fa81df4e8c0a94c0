import { MirumojiError } from "../job/errors.ts";
import type { PlannedOutput } from "../job/paths.ts";
import { isElsewhere } from "../job/places.ts";
import type { MediaFiles } from "../ports/media.ts";
import { openRemoteInput } from "./elsewhere/remote-input.ts";
import type { Elsewhere } from "./elsewhere/elsewhere.ts";
import { openInput } from "./input.ts";
import { rememberingLook } from "./look-inside.ts";
import type { MediaRoot } from "./media-root.ts";
import { checkOutput, removePartialOutput } from "./output.ts";
import { storageGate } from "./storage-gate.ts";
import { writeOutputs } from "./write-outputs.ts";

/** The files of jobs: inside one media root, and elsewhere where that is given. */
export function createMediaFiles(root: MediaRoot, elsewhere?: Elsewhere): MediaFiles {
  const look = rememberingLook();
  const gate = storageGate();
  const given = (): Elsewhere => {
    if (elsewhere !== undefined) return elsewhere;
    throw new MirumojiError("REQUEST_INVALID", "only files of the media root can be used here");
  };
  return {
    openInput: async (options) => {
      if (!isElsewhere(options.path)) return await openInput(root, { look, gate }, options);
      const { isCheck = false, signal } = options;
      const source = await given().open(options.path, signal);
      const tools = { look, scratchFolder: root.path, maxBytes: given().maxBytes };
      return await openRemoteInput(source, tools, { ...options, isCheck });
    },
    checkOutputs: async ({ outputs, signal, ...rules }) => {
      if (isRemote(outputs)) return await given().checkOutputs({ outputs, signal, ...rules });
      return await gate({ path: outputs[0]?.path ?? ".", signal }, async () => {
        const places: string[] = [];
        for (const output of outputs) places.push(await checkOutput(root, output, rules));
        return places;
      });
    },
    writeOutputs: async (options) => {
      if (!isRemote(options.outputs.map(({ output }) => output)))
        return await writeOutputs(root, gate, options);
      return await given().writeOutputs(root.path, options);
    },
    removePartialOutputs: async ({ jobId, outputs, uploads = [], signal }) => {
      if (isRemote(outputs)) return await given().abortUploads(uploads);
      await gate({ path: outputs[0]?.path ?? ".", signal }, async () => {
        for (const output of outputs) await removePartialOutput(root, jobId, output);
      });
    },
  };
}

/** Outputs of a job lie all in one place. */
function isRemote(outputs: readonly PlannedOutput[]): boolean {
  return outputs.some(({ path }) => isElsewhere(path));
}
