import type { FileHandle } from "node:fs/promises";

const ZEROS = Buffer.alloc(64 * 1024);

/** How much of a part of a file is left without the zeros at its end, which are not stored. */
export async function lengthWithoutTrailingZeros(
  file: FileHandle,
  { start, length }: { readonly start: number; readonly length: number },
): Promise<number> {
  const buffer = Buffer.allocUnsafe(ZEROS.length);
  for (let end = length; end > 0;) {
    const from = Math.max(0, end - buffer.length);
    const bytes = await readAll(file, buffer.subarray(0, end - from), start + from);
    if (!bytes.equals(ZEROS.subarray(0, bytes.length)))
      return from + 1 + bytes.findLastIndex((byte) => byte !== 0);
    end = from;
  }
  return 0;
}

async function readAll(file: FileHandle, buffer: Buffer, position: number): Promise<Buffer> {
  for (let done = 0; done < buffer.length;) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) throw new Error("The file became shorter while it was read");
    done += bytesRead;
  }
  return buffer;
}
