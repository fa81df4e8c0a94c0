import { MirumojiError } from "../../job/errors.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import type { Block } from "./transfer-limiter.ts";
import type { UploadSource } from "./upload-source.ts";

/**
 * Content that is produced during the upload. It is read as fast as blocks become free, and only once.
 *
 * @param expectedBytes - tells how many bytes it probably has, for progress
 */
export function streamInput(content: AsyncIterable<Uint8Array>, expectedBytes: () => number): UploadSource {
  const pieces = content[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();
  /** Fills blocks one after the other, even for concurrent callers. */
  let turn: Promise<unknown> = Promise.resolve();

  const fill = async ({ bytes }: Block): Promise<number> => {
    let length = 0;
    while (length < BLOCK_BYTES) {
      if (rest.length === 0) {
        const next = await pieces.next();
        if (next.done === true) break;
        rest = next.value;
      }
      const part = rest.subarray(0, BLOCK_BYTES - length);
      bytes.set(part, length);
      length += part.length;
      rest = rest.subarray(part.length);
    }
    return length;
  };
  return {
    sizeBytes: null,
    get expectedBytes() {
      return expectedBytes();
    },
    isRepeatable: false,
    load: async (_index, block, threads) => {
      const filled = turn.then(async () => await fill(block));
      turn = filled.catch(() => undefined);
      return await threads.of(null).digest({ memory: block.memory, length: await filled });
    },
    // The producer of the content knows whether its source has changed.
    assertUnchanged: async () => await Promise.resolve(),
    changed: (why) => new MirumojiError("INPUT_CHANGED", why),
  };
}
