import { basename, extname } from "node:path";
import { isMissing } from "../../media/errno.ts";
import type { MediaRoot } from "../../media/media-root.ts";
import { MirumojiError } from "../../job/errors.ts";
import { isElsewhere } from "../../job/places.ts";
import type { JobView } from "../../job/summary.ts";
import type { SentFile } from "../send-output.ts";

/** Media that browsers may be able to play, by the ending of the name. No other file is given out. */
const TYPES: Record<string, string> = {
  ".mp4": "video/mp4",
  ".m4v": "video/mp4",
  ".mov": "video/quicktime",
  ".mkv": "video/x-matroska",
  ".webm": "video/webm",
  ".ogv": "video/ogg",
  ".ts": "video/mp2t",
  ".m2ts": "video/mp2t",
  ".avi": "video/x-msvideo",
  ".mp3": "audio/mpeg",
  ".m4a": "audio/mp4",
  ".aac": "audio/aac",
  ".wav": "audio/wav",
  ".flac": "audio/flac",
  ".ogg": "audio/ogg",
  ".oga": "audio/ogg",
  ".opus": "audio/ogg",
};
/** Uploads have names that cannot be guessed. */
const UPLOADS = "uploads/";

/**
 * Opens the input of a job that ended well, so that it is media.
 *
 * @param options.isBound - whether the caller is bound to a tenant, and may play uploads only: every job may name any path
 * @throws MirumojiError `OUTPUT_NOT_FOUND`
 */
export async function findPlayable(
  mediaRoot: MediaRoot | null,
  { input, status }: JobView,
  { isBound }: { readonly isBound: boolean },
): Promise<SentFile> {
  if (input === null || status !== "completed")
    throw notFound("the job has not ended well, or names no input");
  if (isElsewhere(input)) throw notFound("its input is not on this server; open it where it is");
  if (mediaRoot === null) throw notFound("this process has no media root (HOST_MEDIA_PATH)");
  const type = TYPES[extname(input).toLowerCase()];
  if (type === undefined) throw notFound("the input's name has no ending of media");
  if (isBound && !input.startsWith(UPLOADS)) throw notFound("its input is no upload");
  const file = await mediaRoot.openExisting(input, "input").catch((error: unknown) => {
    if (isMissing(error)) throw notFound("the input is not there any more");
    throw error instanceof MirumojiError ? notFound(error.message) : error;
  });
  const found = await file.stat();
  if (found.isFile()) return { type, name: basename(input), file, bytes: found.size };
  await file.close();
  throw notFound("the input is not a file any more");
}

function notFound(message: string): MirumojiError {
  return new MirumojiError("OUTPUT_NOT_FOUND", message);
}
