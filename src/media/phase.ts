import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programEnvironment } from "../config/child-environment.ts";
import type { Stream } from "./probe.ts";

/*
 * Stereo whose channels cancel each other out, as of a microphone that is wired the wrong way.
 * `container/mirumoji_gpu/phase.py` has the same rule for whole files.
 */

const run = promisify(execFile);

/** Pieces of a sound that are listened to: seconds, and where in a long one. */
const PIECE_SECONDS = 10;
const PLACES = [0.1, 0.4, 0.7];
/** By so much, in decibels, the difference of the channels is louder than their sum. Wide stereo stays below 6. */
const OPPOSED = 15;
const QUIET = -60;

export const OPPOSED_WARNING =
  "the channels are in opposite phase; their difference was heard, as their sum is silent";

/** Whether the sum of two channels is nearly nothing and their difference is not. */
export async function isOpposed(
  file: {
    readonly path: string;
    readonly stream: Stream;
    readonly seconds: number | null;
    readonly inputOptions: readonly string[];
  },
  signal: AbortSignal,
): Promise<boolean> {
  if (file.stream.channels !== 2) return false;
  const { stderr } = await run("ffmpeg", phaseArguments(file), { signal, env: programEnvironment() }).catch(
    () => ({ stderr: "" }),
  );
  signal.throwIfAborted();
  const levels = [...stderr.matchAll(/RMS level dB: (-?[\d.]+|-inf)/gu)].map(([, level = ""]) =>
    level === "-inf" ? Number.NEGATIVE_INFINITY : Number(level),
  );
  const [total = 0, difference = 0] = levels.slice(-2);
  return difference > QUIET && difference - total > OPPOSED;
}

function phaseArguments({
  path,
  stream,
  seconds,
  inputOptions,
}: Parameters<typeof isOpposed>[0]): readonly string[] {
  const length = stream.duration ?? seconds ?? 0;
  const places = length > PIECE_SECONDS * 6 ? PLACES.map((place) => length * place) : [0];
  const piece = String(Math.floor((PIECE_SECONDS * 3) / places.length));
  const inputs = places.flatMap((place) => [
    "-ss",
    place.toFixed(3),
    "-t",
    piece,
    ...inputOptions,
    "-i",
    `file:${path}`,
  ]);
  const heard = places.map((_, number) => `[${number}:${stream.index}]`).join("");
  const mixed = "aresample=16000,pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0+-0.5*c1";
  const levels = "astats=measure_overall=none:measure_perchannel=RMS_level";
  const graph = `${heard}concat=n=${places.length}:v=0:a=1,${mixed},${levels}`;
  return ["-hide_banner", "-nostdin", "-nostats", ...inputs, "-filter_complex", graph, "-f", "null", "-"];
}
