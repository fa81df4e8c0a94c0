const SYNC = Buffer.from([0xff, 0xf8]);
/** Sync, four fields, the number in up to seven bytes, a block size in up to two, and the checksum. */
const LONGEST_HEADER = 14;

/** Tells from a FLAC stream of fixed frames how long what has passed plays. */
export interface FlacClock {
  /** Seconds up to the last frame that was seen to begin. */
  readonly seconds: number;
  /** Looks at the next bytes. */
  pass(chunk: Buffer): void;
}

/**
 * A clock for frames of this length.
 *
 * ffmpeg's own word cannot be used: with timestamps that are kept as they are it counts from its first report.
 * A frame whose header lies across two chunks is missed, until the next one comes.
 */
export function flacClock(frameSeconds: number): FlacClock {
  let seconds = 0;
  return {
    get seconds() {
      return seconds;
    },
    pass(chunk) {
      const frame = lastFrame(chunk);
      if (frame !== null) seconds = (frame + 1) * frameSeconds;
    },
  };
}

function lastFrame(chunk: Buffer): number | null {
  for (let at = chunk.lastIndexOf(SYNC); at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf(SYNC, at - 1)) {
    const frame = frameNumber(chunk.subarray(at, at + LONGEST_HEADER));
    if (frame !== null) return frame;
  }
  return null;
}

/** The number of the frame that begins here, or null where none does. */
function frameNumber(header: Buffer): number | null {
  const first = header[4] ?? 0xff;
  // A number is written as UTF-8 would write a letter.
  const more = first < 0x80 ? 0 : Math.clz32(~(first << 24)) - 1;
  if (first === 0xff || more < 0 || (first >= 0x80 && more === 0)) return null;
  let number = more === 0 ? first : first & (0x3f >> more);
  for (const byte of header.subarray(5, 5 + more)) {
    if (byte >> 6 !== 0b10) return null;
    number = number * 64 + (byte & 0x3f);
  }
  const sizeCode = (header[2] ?? 0) >> 4;
  const end = 5 + more + (sizeCode === 6 ? 1 : sizeCode === 7 ? 2 : 0);
  return header.length > end && crc8(header.subarray(0, end)) === header[end] ? number : null;
}

function crc8(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x80 ? 0x07 : 0)) & 0xff;
  }
  return crc;
}
