import type { BlockBehaviour } from "../faults.ts";
import { HttpError } from "./http-error.ts";

/** Answers a block request with the status that a test ordered. */
export function failByStatus(fault: BlockBehaviour | undefined): void {
  const status = Number(fault);
  if (status > 0) throw new HttpError(status, `Ordered fault ${status}`);
}

/** The bytes with the first one changed; an empty block gets one byte too many. */
export async function* corruptFirstByte(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<Buffer> {
  let isFirst = true;
  for await (const chunk of source) {
    const copy = Buffer.from(chunk);
    if (isFirst && copy.length > 0) copy.writeUInt8(copy.readUInt8(0) ^ 0xff, 0);
    isFirst = false;
    yield copy;
  }
  if (isFirst) yield Buffer.of(0xff);
}

/** The first bytes of what a sender sends, and then nothing more, as when a line breaks. */
export async function* breakOff(source: AsyncIterable<Buffer>, afterBytes: number): AsyncGenerator<Buffer> {
  let left = afterBytes;
  for await (const chunk of source) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left <= 0) break;
  }
  throw new BrokenOff();
}

export class BrokenOff extends Error {}
