import { access, constants, stat } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import type { InputWish } from "../job/input-wish.ts";
import type { InputFile } from "../ports/media.ts";
import type { LookInside } from "./look-inside.ts";
import { hasErrno, isMissing } from "./errno.ts";
import type { MediaRoot } from "./media-root.ts";
import { ANY_SOUND } from "./choose-audio.ts";
import { fileKind } from "./file-kind.ts";
import { openAudio } from "./open-audio.ts";
import { chooseSound, reportOf } from "./sound.ts";

/**
 * Checks an input before anything is paid for.
 *
 * @throws MirumojiError `INPUT_NOT_FOUND`, `INPUT_NOT_A_FILE`, `INPUT_EMPTY`, `INPUT_UNREADABLE`,
 * `INPUT_NOT_MEDIA`, `TRACK_NOT_FOUND` or `PATH_OUTSIDE_MEDIA_ROOT`
 */
export async function openInput(
  root: MediaRoot,
  look: LookInside,
  { path, needs, sound = ANY_SOUND, signal }: InputWish & { readonly signal: AbortSignal },
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
  const inDetail = needs === "audio" || sound.audioTrack !== null;
  const found = await look(localPath, { info, needs, inDetail, signal });
  // Without ffprobe here, the handler beside the GPU finds it out.
  if (found === null) return { localPath, seconds: null, track: null, warnings: [], openAudio: failing };
  const notMedia = async (): Promise<MirumojiError> => {
    const kind = found.streams.size === 0 ? ((await fileKind(localPath)) ?? "not a media file") : null;
    const why = kind === null ? "" : `; it is ${kind}`;
    return new MirumojiError(
      "INPUT_NOT_MEDIA",
      `input ${name} has no ${needs} stream${why}; check it with ffprobe`,
    );
  };
  if (!found.streams.has(needs)) throw await notMedia();
  const choice = inDetail ? await chooseSound(found, sound, signal) : null;
  if (needs === "audio" && choice === null) throw await notMedia();
  return {
    localPath,
    seconds: found.seconds,
    track: choice === null ? null : reportOf(choice),
    warnings: choice?.warnings ?? [],
    openAudio: async (options) =>
      await openAudio(localPath, { found, choice, side: sound.dualMono, ...options }),
  };
}

async function failing(): Promise<never> {
  throw await Promise.resolve(
    new MirumojiError("PROGRAM_MISSING", "ffprobe is not on this machine; install ffmpeg"),
  );
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
