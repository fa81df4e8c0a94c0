import type { FileHandle } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import type { OutputFile } from "../job/facts.ts";
import { isElsewhere, shownPlace } from "../job/places.ts";
import { isMissing } from "./errno.ts";
import type { MediaRoot } from "./media-root.ts";

/** The file of an output, open; its reader closes it. */
export interface FoundOutput {
  readonly output: OutputFile;
  readonly file: FileHandle;
  readonly bytes: number;
}

/**
 * Opens the file of a job's output.
 *
 * @throws MirumojiError `OUTPUT_NOT_FOUND`
 */
export async function findOutput(
  mediaRoot: MediaRoot | null,
  output: OutputFile | undefined,
): Promise<FoundOutput> {
  if (output === undefined) throw notFound("there is no such output");
  if (isElsewhere(output.path)) throw notFound(`the output is at ${shownPlace(output.path)}; read it there`);
  if (mediaRoot === null) throw notFound("this process has no media root (HOST_MEDIA_PATH)");
  const file = await mediaRoot.openExisting(output.path, "output").catch((error: unknown) => {
    if (isMissing(error)) throw notFound("the output is not there any more");
    throw error instanceof MirumojiError ? notFound(error.message) : error;
  });
  const found = await file.stat();
  if (found.isFile()) return { output, file, bytes: found.size };
  await file.close();
  throw notFound("the output is not a file any more");
}

/**
 * The whole text of an output.
 *
 * @throws MirumojiError `OUTPUT_NOT_FOUND`
 */
export async function readOutputText(mediaRoot: MediaRoot | null, output: OutputFile): Promise<string> {
  const { file } = await findOutput(mediaRoot, output);
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

function notFound(message: string): MirumojiError {
  return new MirumojiError("OUTPUT_NOT_FOUND", message);
}
