import { MirumojiError } from "../../job/errors.ts";
import type { InputWish } from "../../job/input-wish.ts";
import { storageError } from "../../job/storage-errors.ts";
import type { InputFile } from "../../ports/media.ts";
import { ANY_SOUND } from "../choose-audio.ts";
import type { HeldInput } from "../held-input.ts";
import { inspected } from "../input.ts";
import type { LookInside } from "../look-inside.ts";
import { steadyFile } from "../steady-file.ts";
import { isJoinable } from "../timeline.ts";
import { type Loopback, openLoopback } from "./loopback.ts";
import { openScratch, type Scratch } from "./scratch.ts";
import { readSteadily, type RemoteSource } from "./source.ts";

/** Use of an input that is elsewhere. */
export interface RemoteInputWish extends InputWish {
  /** Only to see whether it can be used: what takes reading all of it is left for later. */
  readonly isCheck: boolean;
  readonly signal: AbortSignal;
}

interface RemoteInputTools {
  readonly look: LookInside;
  /** Folder for content that has to be there as a whole. */
  readonly scratchFolder: string;
  readonly maxBytes: number;
}

/**
 * Looks into an input that is elsewhere. ffmpeg reads it through a port of this process, so that only what is needed of
 * it travels; where that cannot be, because the server knows no ranges or the whole has to be read first to know its time
 * line, it is fetched into a scratch file.
 *
 * @throws MirumojiError `INPUT_TOO_LARGE`, `INPUT_CHANGED`, `INPUT_NOT_MEDIA`, `TRACK_NOT_FOUND`, `DISK_FULL`, and what
 * reading the source throws
 */
export async function openRemoteInput(
  source: RemoteSource,
  tools: RemoteInputTools,
  wish: RemoteInputWish,
): Promise<InputFile> {
  const { identity, shown, hasRanges } = source;
  refuseLarge(shown, identity.sizeBytes ?? 0, tools.maxBytes);
  const elsewhere = {
    identity,
    read: (signal: AbortSignal) => limited(source, tools.maxBytes, signal),
  };
  if (!hasRanges) {
    if (!wish.isCheck) return { ...(await fetched(source, tools, wish)), elsewhere };
    return { ...unseen, elsewhere, [Symbol.asyncDispose]: async () => await Promise.resolve() };
  }
  const loopback = await openLoopback(source, wish.signal);
  try {
    const held = holdLoopback(loopback, source);
    if (!wish.isCheck && (await isReadTwice(held, tools.look, wish))) {
      await loopback[Symbol.asyncDispose]();
      return { ...(await fetched(source, tools, wish)), elsewhere };
    }
    const input = await inspected(held, tools.look, wish);
    loopback.assertWell();
    return { ...input, localPath: null, elsewhere };
  } catch (error) {
    await loopback[Symbol.asyncDispose]();
    // A program that could not read on saw another file than there is.
    loopback.assertWell();
    throw error;
  }
}

/** An input that nobody has looked into. */
const unseen = {
  localPath: null,
  seconds: null,
  track: null,
  warnings: [],
  openAudio: async () => await Promise.resolve(null),
};

/** Whether the time line of its sound is only known when all of it was read. */
async function isReadTwice(held: HeldInput, look: LookInside, wish: RemoteInputWish): Promise<boolean> {
  if (wish.needs !== "audio") return false;
  const { info, localPath } = held;
  const seen = await look(localPath, { info, needs: wish.needs, inDetail: true, signal: wish.signal });
  return seen?.details !== null && seen?.details !== undefined && isJoinable(seen.details.formats);
}

function holdLoopback(loopback: Loopback, { identity, shown }: RemoteSource): HeldInput {
  const size = identity.sizeBytes ?? 0;
  const id = `${shown} ${JSON.stringify(identity)}`;
  const assertWell = async () => await Promise.resolve(loopback.assertWell());
  return {
    localPath: loopback.url,
    namedPath: loopback.url,
    info: { id, size, dev: 0, ino: 0, mtimeMs: 0, ctimeMs: 0, isFile: () => true },
    assertReadable: assertWell,
    steady: async () => await Promise.resolve({ sizeBytes: size, assertUnchanged: assertWell }),
    [Symbol.asyncDispose]: async () => await loopback[Symbol.asyncDispose](),
  };
}

/** Fetches the whole, and looks into that. */
async function fetched(
  source: RemoteSource,
  { look, scratchFolder, maxBytes }: RemoteInputTools,
  { sound = ANY_SOUND, ...wish }: RemoteInputWish,
): Promise<InputFile> {
  const { signal } = wish;
  let scratch: Scratch | undefined;
  try {
    scratch = await openScratch(scratchFolder);
    for await (const piece of limited(source, maxBytes, signal)) await scratch.handle.appendFile(piece);
    const { path, handle } = scratch;
    const dispose = scratch[Symbol.asyncDispose];
    const held: HeldInput = {
      localPath: path,
      namedPath: path,
      info: await handle.stat(),
      assertReadable: async () => await Promise.resolve(),
      steady: async () => await steadyFile(path),
      [Symbol.asyncDispose]: async () => await dispose(),
    };
    return await inspected(held, look, { ...wish, sound });
  } catch (error) {
    await scratch?.[Symbol.asyncDispose]();
    throw storageError("the scratch file of an input", error) ?? error;
  }
}

async function* limited(source: RemoteSource, maxBytes: number, signal: AbortSignal) {
  let bytes = 0;
  for await (const piece of readSteadily(source, { signal })) {
    bytes += piece.length;
    refuseLarge(source.shown, bytes, maxBytes);
    yield piece;
  }
}

function refuseLarge(shown: string, bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return;
  throw new MirumojiError(
    "INPUT_TOO_LARGE",
    `${shown} has more than the ${Math.floor(maxBytes / 2 ** 20)} MiB that are allowed; MIRUMOJI_MAX_INPUT says how much`,
  );
}
