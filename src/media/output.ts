import { access, constants, rm } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import type { PlannedOutput } from "../job/paths.ts";
import type { MediaRoot } from "./media-root.ts";
import { assertNotInput } from "./not-input.ts";
import { translateWriteError, unwritable } from "./output-errors.ts";
import { partialPath } from "./partial-file.ts";
import { isSameFile, look } from "./same-file.ts";

/**
 * Checks that an output could be written, without writing it.
 *
 * @returns its real place below the media root
 * @throws MirumojiError `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, `PATH_OUTSIDE_MEDIA_ROOT`, `REQUEST_INVALID` where it is
 * the input by another name
 */
export async function checkOutput(
  root: MediaRoot,
  output: PlannedOutput,
  { input, overwrite, jobId }: { input: string; overwrite: boolean; jobId: string },
): Promise<string> {
  try {
    const target = await root.holdTarget(output.path, "output", { create: false });
    await using folder = target.folder;
    if (target.isOwnFolder) {
      await assertNotInput(root, target, output, input);
      const place = folder.entry(target.name);
      const found = await look(place);
      if (found?.isDirectory() === true) throw unwritable(output.path, "there is a folder of this name");
      if (found !== null && !overwrite && !isSameFile(found, await look(partialPath(target, jobId)))) {
        throw new MirumojiError(
          "OUTPUT_EXISTS",
          `output ${JSON.stringify(output.path)} is there already; name another, or say overwrite: true`,
        );
      }
    }
    await access(folder.entry("."), constants.W_OK | constants.X_OK);
    return target.realPath;
  } catch (error) {
    throw translateWriteError(error, output.path);
  }
}

/** Removes the temporary file of an output, finished or not; the output itself stays. */
export async function removePartialOutput(
  root: MediaRoot,
  jobId: string,
  output: PlannedOutput,
): Promise<void> {
  try {
    const target = await root.holdTarget(output.path, "output", { create: false });
    await using _folder = target.folder;
    if (target.isOwnFolder) await rm(partialPath(target, jobId), { force: true });
  } catch (error) {
    throw translateWriteError(error, output.path, "OUTPUT_WRITE_FAILED");
  }
}
