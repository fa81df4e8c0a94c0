import { MirumojiError } from "../job/errors.ts";
import type { InputWish } from "../job/input-wish.ts";
import { storageError } from "../job/storage-errors.ts";
import type { InputFile } from "../ports/media.ts";
import { hasErrno, isMissing } from "./errno.ts";
import { type HeldInput, holdInput } from "./held-input.ts";
import type { LookInside } from "./look-inside.ts";
import type { MediaRoot } from "./media-root.ts";
import { ANY_SOUND } from "./choose-audio.ts";
import { fileKind } from "./file-kind.ts";
import { openAudio } from "./open-audio.ts";
import { chooseSound, reportOf } from "./sound.ts";
import type { StorageGate } from "./storage-gate.ts";

/**
 * Checks an input before anything is paid for, and holds it open: what is looked at here is what is sent later.
 *
 * @throws MirumojiError `INPUT_NOT_FOUND`, `INPUT_NOT_A_FILE`, `INPUT_EMPTY`, `INPUT_UNREADABLE`,
 * `INPUT_NOT_MEDIA`, `TRACK_NOT_FOUND`, `PATH_OUTSIDE_MEDIA_ROOT` or `STORAGE_UNAVAILABLE`
 */
export async function openInput(
  root: MediaRoot,
  { look, gate }: { look: LookInside; gate: StorageGate },
  wish: InputWish & { readonly signal: AbortSignal },
): Promise<InputFile> {
  const { path, signal } = wish;
  let held: HeldInput | undefined;
  try {
    held = await gate({ path, signal }, async () => await holdInput(root, path), close);
    return await inspected(held, look, wish);
  } catch (error) {
    if (held !== undefined) await close(held);
    throw translated(path, error);
  }
}

async function close(held: HeldInput): Promise<void> {
  await held[Symbol.asyncDispose]();
}

/**
 * Looks into an input that is held. What is wrong with its content is an error of the input.
 *
 * @throws MirumojiError `INPUT_NOT_A_FILE`, `INPUT_EMPTY`, `INPUT_NOT_MEDIA`, `TRACK_NOT_FOUND`; node's own errors
 */
export async function inspected(
  held: HeldInput,
  look: LookInside,
  { path, needs, sound = ANY_SOUND, signal }: InputWish & { readonly signal: AbortSignal },
): Promise<InputFile> {
  const { localPath, namedPath, info } = held;
  const name = JSON.stringify(path);
  if (!info.isFile())
    throw new MirumojiError("INPUT_NOT_A_FILE", `input ${name} is not a file; name one media file`);
  if (info.size === 0)
    throw new MirumojiError("INPUT_EMPTY", `input ${name} is empty; check how it was written`);
  const inDetail = needs === "audio" || sound.audioTrack !== null;
  const about = { info, needs, inDetail, signal };
  const seen = await look(localPath, about);
  const found = seen?.streams.size === 0 ? await look(namedPath, about) : seen;
  const dispose = { [Symbol.asyncDispose]: async () => await close(held) };
  // Without ffprobe here, the handler beside the GPU finds it out.
  if (found === null) {
    return { localPath, seconds: null, track: null, warnings: [], openAudio: failing, ...dispose };
  }
  const notMedia = async (): Promise<MirumojiError> => {
    await held.assertReadable();
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
    openAudio: async (options) => {
      const file = await held.steady();
      return await openAudio(localPath, { file, found, choice, side: sound.dualMono, ...options });
    },
    ...dispose,
  };
}

async function failing(): Promise<never> {
  throw await Promise.resolve(
    new MirumojiError("PROGRAM_MISSING", "ffprobe is not on this machine; install ffmpeg"),
  );
}

function translated(path: string, cause: unknown): unknown {
  const input = `input ${JSON.stringify(path)}`;
  if (isMissing(cause)) {
    return new MirumojiError("INPUT_NOT_FOUND", `${input} does not exist under the media root`, { cause });
  }
  if (hasErrno(cause, "EACCES", "EPERM")) {
    return new MirumojiError("INPUT_UNREADABLE", `${input} may not be read by the worker's user`, { cause });
  }
  if (hasErrno(cause, "ELOOP", "ENAMETOOLONG", "EINVAL")) {
    return new MirumojiError("INPUT_NOT_FOUND", `${input} cannot be opened`, { cause });
  }
  return storageError(input, cause) ?? cause;
}
