import { execFile } from "node:child_process";
import { promisify } from "node:util";

/*
 * Looks at finished files with ffmpeg and ffprobe alone, as a player would: none of the product's code is used here.
 */

const run = promisify(execFile);
const most = { maxBuffer: 256 * 1024 * 1024, encoding: "buffer" } as const;

async function ffmpeg(...args: string[]): Promise<Buffer> {
  return (await run("ffmpeg", ["-v", "error", "-nostdin", ...args], most)).stdout;
}

async function ffprobe(...args: string[]): Promise<string[]> {
  const { stdout } = await run("ffprobe", ["-v", "error", "-of", "csv=p=0", ...args], most);
  return stdout.toString().trim().split("\n");
}

/** The times at which the sound begins to be loud, in seconds of what a player shows. */
export async function beepsOf(path: string, track = 0): Promise<number[]> {
  const raw = await ffmpeg("-i", path, "-map", `0:a:${track}`, "-ac", "1", "-ar", "8000", "-f", "s16le", "-");
  const samples = new Int16Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + (raw.length & ~1)));
  const found: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  samples.forEach((sample, at) => {
    if (Math.abs(sample) < 3000) return;
    if (at - last > 2400) found.push(at / 8000);
    last = at;
  });
  return found;
}

/** The times at which the picture turns white, in seconds. */
export async function flashesOf(path: string): Promise<number[]> {
  const [times, gray] = await Promise.all([
    timesOf(path),
    ffmpeg(
      "-i",
      path,
      "-map",
      "0:v:0",
      "-fps_mode",
      "passthrough",
      "-vf",
      "scale=1:1,format=gray",
      "-f",
      "rawvideo",
      "-",
    ),
  ]);
  return times.filter((_, at) => (gray[at] ?? 0) > 120 && (gray[at - 1] ?? 0) <= 120);
}

/** When each frame of the picture is shown, in seconds. */
export async function timesOf(path: string): Promise<number[]> {
  const lines = await ffprobe("-select_streams", "v:0", "-show_entries", "packet=pts_time", path);
  return lines.map(Number.parseFloat).toSorted((a, b) => a - b);
}

/** Red, green and blue of a place in the picture, by the matrix that the file names. */
export async function colourAt(path: string, x: number, y: number): Promise<[number, number, number]> {
  const pixel = `crop=2:2:${x}:${y},scale=1:1:flags=area,format=rgb24`;
  const [red = 0, green = 0, blue = 0] = await ffmpeg(
    "-ss",
    "0.2",
    "-i",
    path,
    "-frames:v",
    "1",
    "-vf",
    pixel,
    "-f",
    "rawvideo",
    "-",
  );
  return [red, green, blue];
}

/** Range, matrix, curve and primaries, as the file names them. */
export async function coloursOf(path: string): Promise<string> {
  const names = "stream=color_range,color_space,color_transfer,color_primaries";
  return (await ffprobe("-select_streams", "v:0", "-show_entries", names, path)).join();
}

/** Codec, kind, whether it is the default, language and title of each stream. */
export async function tracksOf(path: string): Promise<string[]> {
  const names = "stream=codec_type,codec_name:stream_disposition=default:stream_tags=language,handler_name";
  return await ffprobe("-show_entries", names, path);
}

/** Share of frames that look like fields woven together, 0 to 1. */
export async function combedShare(path: string): Promise<number> {
  const args = ["-hide_banner", "-nostdin", "-i", path, "-vf", "idet", "-an", "-f", "null", "-"];
  const { stderr } = await run("ffmpeg", args);
  const counts = /Multi frame detection: TFF:\s*(\d+) BFF:\s*(\d+) Progressive:\s*(\d+)/u.exec(stderr);
  const [tff = 0, bff = 0, whole = 0] = (counts ?? []).slice(1).map(Number);
  return (tff + bff) / Math.max(1, tff + bff + whole);
}

/** The loudest sample between 0.1 and 0.8 s of a sound, in decibels of full scale; AAC overshoots where one sets in. */
export async function peakOf(path: string): Promise<number> {
  const args = [
    "-hide_banner",
    "-nostdin",
    "-ss",
    "0.1",
    "-t",
    "0.7",
    "-i",
    path,
    "-vn",
    "-af",
    "volumedetect",
    "-f",
    "null",
    "-",
  ];
  const { stderr } = await run("ffmpeg", args);
  return Number(/max_volume: (-?[\d.]+) dB/u.exec(stderr)?.[1]);
}
