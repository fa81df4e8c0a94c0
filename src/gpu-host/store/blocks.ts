/** Version 2 volumes move files in blocks of this size; only the last one of a file is shorter. */
export const BLOCK_BYTES = 8 * 1024 * 1024;

export function blockCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES);
}

/** Logical length of a block, before trailing zeros are left away. */
export function blockLength(sizeBytes: number, index: number): number {
  return Math.min(BLOCK_BYTES, sizeBytes - index * BLOCK_BYTES);
}

/** The blocks of a byte range, in order, cut to the range. */
export function blocksOfRange(start: number, length: number): { offset: number; length: number }[] {
  const blocks = [];
  for (let offset = start; offset < start + length;) {
    const blockEnd = (Math.floor(offset / BLOCK_BYTES) + 1) * BLOCK_BYTES;
    const end = Math.min(blockEnd, start + length);
    blocks.push({ offset, length: end - offset });
    offset = end;
  }
  return blocks;
}
