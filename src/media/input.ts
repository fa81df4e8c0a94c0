import { access, constants, stat } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import type { InputFile } from "../ports/media.ts";
import type { LookInside } from "./look-inside.ts";
import { hasErrno, isMissing } from "./errno.ts";
import type { MediaRoot } from "./media-root.ts";
import { openAudio } from "./open-audio.ts";

/**
 * Checks an input before anything is paid for.
 *
 * @throws MirumojiError `INPUT_NOT_FOUND`, `INPUT_NOT_A_FILE`, `INPUT_EMPTY`, `INPUT_UNREADABLE`,
 * `INPUT_NOT_MEDIA` or `PATH_OUTSIDE_MEDIA_ROOT`
 */
export async function openInput(
  root: MediaRoot,
  look: LookInside,
  { path, needs, signal }: { path: string; needs: "audio" | "video"; signal: AbortSignal },
): Promise<InputFile> {
  const localPath = await locate(root, path);
  const info = await stat(localPath);
  const name = JSON.stringify(path);
  if (!info.isFile())
    throw new MirumojiError("INPUT_NOT_A_FILE", `input ${name} is not a file; name one media file`);
  if (info.size === 0)
    throw new MirumojiError("INPUT_EMPTY", `input ${name} is empty; check how it was written`);
  try {
    await access(localPath, constants.R_OK);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  const found = await look(localPath, { info, needs, signal });
  // Without ffprobe here, the handler beside the GPU finds it out.
  if (found !== null && !found.streams.has(needs)) {
    throw new MirumojiError(
      "INPUT_NOT_MEDIA",
      `input ${name} has no ${needs} stream${found.streams.size === 0 ? "; it is not a media file" : ""}; check it with ffprobe`,
    );
  }
  return {
    localPath,
    seconds: found?.seconds ?? null,
    audioSeconds: found?.audio?.seconds ?? null,
    openAudio: async (options) => await openAudio(localPath, found, options),
  };
}

async function locate(root: MediaRoot, path: string): Promise<string> {
  try {
    return await root.resolveExisting(path, "input");
  } catch (cause) {
    if (isMissing(cause)) {
      throw new MirumojiError(
        "INPUT_NOT_FOUND",
        `input ${JSON.stringify(path)} does not exist under the media root`,
        {
          cause,
        },
      );
    }
    if (hasErrno(cause, "EACCES")) throw unreadable(path, cause);
    if (hasErrno(cause, "ELOOP", "ENAMETOOLONG")) {
      throw new MirumojiError("INPUT_NOT_FOUND", `input ${JSON.stringify(path)} cannot be opened`, { cause });
    }
    throw cause;
  }
}

function unreadable(path: string, cause: unknown): MirumojiError {
  return new MirumojiError(
    "INPUT_UNREADABLE",
    `input ${JSON.stringify(path)} may not be read by the worker's user`,
    {
      cause,
    },
  );
}
