import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModalSession } from "../rpc/session.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import { openLocalInput } from "./local-input.ts";
import type { TransferSlot } from "./transfer-limiter.ts";
import type { UploadSource } from "./upload-source.ts";

/** Sessions whose server refuses files that are named in parts. */
const refusing = new WeakSet<ModalSession>();

/** A server refused a part of a file, which no client of Modal's own ever names. */
export class PartsRefusedError extends Error {}

/** Whether uploads of this session name whole files only, which takes a second reading of each. */
export function namesWholeFiles(session: ModalSession): boolean {
  return refusing.has(session);
}

/** Lets uploads of this session name whole files from now on, and warns the first time. */
export function nameWholeFiles(session: ModalSession, refusal: PartsRefusedError): void {
  if (refusing.has(session)) return;
  refusing.add(session);
  session.warn(
    `The server takes no files that are named in parts (${refusal.message}). Each file is read twice from now on.`,
  );
}

/** Copies content that cannot be read twice into a temporary file, which `close` removes. */
export async function spool(
  source: UploadSource,
  slot: TransferSlot,
  signal: AbortSignal,
): Promise<UploadSource & { close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-upload-"));
  const remove = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, "content");
    await copyInto(path, source, slot, signal);
    const input = await openLocalInput(path);
    const close = async (): Promise<void> => {
      await input.close();
      await remove();
    };
    return { ...input, close };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function copyInto(
  path: string,
  source: UploadSource,
  slot: TransferSlot,
  signal: AbortSignal,
): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  for (let index = 0; ; index++) {
    const block = await slot.take(signal);
    try {
      const { readBytes } = await source.load(index, block, slot.threads, signal);
      await file.write(block.bytes, 0, readBytes);
      if (readBytes < BLOCK_BYTES) return;
    } finally {
      block.giveBack();
    }
  }
}
