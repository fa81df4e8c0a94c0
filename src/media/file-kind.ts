import { open } from "node:fs/promises";

/** Beginnings of files, hexadecimal; a dot stands for any digit. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/^52494646.{8}57454250/u, "a WebP picture"],
  [/^ffd8ff/u, "a JPEG picture or a raw MJPEG stream"],
  [/^89504e47/u, "a PNG picture"],
  [/^424d/u, "a bitmap picture"],
  [/^(49492a00|4d4d002a)/u, "a TIFF picture"],
  [/^.{8}66747970(68656963|68656978|6d696631|61766966|61766973)/u, "a HEIF or AVIF picture"],
  [/^25504446/u, "a PDF document"],
  [/^504b0304/u, "a ZIP archive"],
  [/^234558544d3355/u, "a playlist, which names other files"],
];

/** Name of the kind of a file that is no media; null where nothing tells. */
export async function fileKind(path: string): Promise<string | null> {
  const handle = await open(path).catch(() => null);
  if (handle === null) return null;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0);
    const head = buffer.toString("hex", 0, bytesRead);
    return KINDS.find(([pattern]) => pattern.test(head))?.[1] ?? null;
  } catch {
    return null;
  } finally {
    await handle.close();
  }
}
