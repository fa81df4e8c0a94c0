import { open } from "node:fs/promises";

/*
 * Files that end before their own headers say. `container/mirumoji_gpu/ending.py` has the same rule for whole files.
 */

/** The largest page of Ogg. */
const MOST_PAGE_BYTES = 65_307;
/** Sizes of files that were written as a stream, whose end nobody knew. */
const UNKNOWN: ReadonlySet<number> = new Set([0, 0x7f_ff_ff_ff, 0xff_ff_ff_ff, 2 ** 64]);
/** Chunks that are looked at. */
const MOST_CHUNKS = 1000;

const ASF = Buffer.from("3026b2758e66cf11a6d900aa0062ce6c", "hex");
const ASF_FILE = Buffer.from("a1dcab8c47a9cf118ee400c00c205365", "hex");
const EBML = Buffer.from("1a45dfa3", "hex");
const SEGMENT = Buffer.from("18538067", "hex");
const FIRST_BOXES: ReadonlySet<string> = new Set(["ftyp", "moov", "mdat", "wide", "free", "skip"]);
const W64 = Buffer.from("726966662e91cf11", "hex");

type Read = (at: number, bytes: number) => Promise<Buffer>;
interface Chunk {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
}

/** A warning when a file is shorter than it promises; nothing where it does not say. */
export async function endingOf(path: string): Promise<string[]> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const read: Read = async (at, bytes) => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, at);
      return buffer.subarray(0, bytesRead);
    };
    const head = await read(0, 64);
    if (head.toString("latin1", 0, 4) === "OggS") {
      const tail = await read(Math.max(0, size - MOST_PAGE_BYTES), MOST_PAGE_BYTES);
      return endsInPage(tail) ? ["the file ends in the middle; it is damaged"] : [];
    }
    const promised = await promisedBytes(read, head, size);
    if (promised - size <= promised * 0.005 + 1024) return [];
    return [`only ${size} of ${promised} bytes are there; the file is damaged`];
  } finally {
    await handle.close();
  }
}

async function promisedBytes(read: Read, head: Buffer, size: number): Promise<number> {
  const [magic, form] = [head.toString("latin1", 0, 4), head.toString("latin1", 8, 12)];
  if (form === "WAVE") return await waveBytes(read, size);
  if (magic === "RIFF" && form === "AVI ")
    return await endOf("RIFF", chunks(read, { at: 0, size, isShort: true }));
  if (magic === "caff") return await endOf("data", chunks(read, { at: 8, size, isShort: false }));
  if (head.subarray(0, 8).equals(W64) && head.length >= 24) return known(Number(head.readBigUInt64LE(16)));
  if (head.subarray(0, 4).equals(EBML)) return matroskaBytes(head);
  if (FIRST_BOXES.has(head.toString("latin1", 4, 8))) return await mp4Bytes(read, size);
  return head.subarray(0, 16).equals(ASF) ? asfBytes(await read(0, 8192)) : 0;
}

/** Chunks of RIFF, or those of CAF with longer sizes of the other byte order. */
async function* chunks(
  read: Read,
  { at, size, isShort }: { at: number; size: number; isShort: boolean },
): AsyncGenerator<Chunk> {
  const length = isShort ? 8 : 12;
  for (let place = at, count = 0; place + length <= size && count < MOST_CHUNKS; count++) {
    const head = await read(place, length);
    const bytes = isShort ? head.readUInt32LE(4) : Number(head.readBigUInt64BE(4));
    yield { name: head.toString("latin1", 0, 4), at: place + length, bytes };
    place += length + bytes + (bytes % 2);
  }
}

/** The end of the last chunk of a name. Anything may lie behind it. */
async function endOf(wanted: string, found: AsyncGenerator<Chunk>): Promise<number> {
  let end = 0;
  for await (const { name, at, bytes } of found) {
    if (name !== wanted) continue;
    if (UNKNOWN.has(bytes)) return 0;
    end = at + bytes;
  }
  return end;
}

async function waveBytes(read: Read, size: number): Promise<number> {
  let long = 0;
  for await (const { name, at, bytes } of chunks(read, { at: 12, size, isShort: true })) {
    if (name === "ds64") {
      const sizes = await read(at, 16);
      if (sizes.length === 16) long = Number(sizes.readBigUInt64LE(8));
    }
    if (name !== "data") continue;
    const content = bytes === 0xff_ff_ff_ff ? long : bytes;
    return known(content) === 0 ? 0 : at + content;
  }
  return 0;
}

/** The end of the segment, which follows the header. */
function matroskaBytes(head: Buffer): number {
  const header = ebmlSize(head, 4);
  const at = header.end + header.value;
  if (!head.subarray(at, at + 4).equals(SEGMENT)) return 0;
  const { value, end } = ebmlSize(head, at + 4);
  return value === 0 ? 0 : end + value;
}

/** A size, 0 where it is unknown, and the place behind it. */
function ebmlSize(data: Buffer, at: number): { value: number; end: number } {
  const length = Math.clz32(data[at] ?? 0) - 23;
  const bits = BigInt(7 * length);
  const digits = data.toString("hex", at, at + length);
  const value = BigInt.asUintN(Number(bits), BigInt(`0x${digits || "0"}`));
  const isUnknown = length > 8 || value === (1n << bits) - 1n;
  return { value: isUnknown ? 0 : Number(value), end: at + length };
}

/** The end of the last box. Anything may lie behind it. */
async function mp4Bytes(read: Read, size: number): Promise<number> {
  let at = 0;
  for (let count = 0; at + 8 <= size && count < MOST_CHUNKS; count++) {
    const head = await read(at, 16);
    const short = head.readUInt32BE(0);
    const length = short === 1 && head.length === 16 ? Number(head.readBigUInt64BE(8)) : short;
    if (length < 8 || !/^[\da-z]{4}$/iu.test(head.toString("latin1", 4, 8))) break;
    at += length;
  }
  return at;
}

function asfBytes(head: Buffer): number {
  const at = head.indexOf(ASF_FILE);
  if (at < 0 || head.length < at + 92) return 0;
  // 1: a broadcast, whose size was not known.
  return (head.readUInt32LE(at + 88) & 1) === 1 ? 0 : Number(head.readBigUInt64LE(at + 40));
}

function endsInPage(tail: Buffer): boolean {
  const at = tail.lastIndexOf("OggS");
  if (at < 0) return false;
  const page = tail.subarray(at);
  const count = page[26] ?? 255;
  const content = page.subarray(27, 27 + count).reduce((sum, bytes) => sum + bytes, 0);
  return page.length < 27 + count + content;
}

function known(bytes: number): number {
  return UNKNOWN.has(bytes) ? 0 : bytes;
}
