import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { ANY_SOUND, type SoundWish } from "../../../src/media/choose-audio.ts";
import { withSurvey } from "../../../src/media/look-inside.ts";
import { openAudio } from "../../../src/media/open-audio.ts";
import { probe } from "../../../src/media/probe.ts";
import { chooseSound } from "../../../src/media/sound.ts";
import { steadyFile } from "../../../src/media/steady-file.ts";
import type { AudioTrack } from "../../../src/ports/media.ts";

const run = promisify(execFile);

/** Starts to take the sound out of a file as a job does. */
export async function openTrack(
  path: string,
  { isForced, signal, sound = ANY_SOUND }: { isForced: boolean; signal: AbortSignal; sound?: SoundWish },
): Promise<AudioTrack | null> {
  const { open } = await lookedAt(path, sound);
  return await open({ isForced, signal });
}

/** Looks into a file; gives the sound that was chosen, and the start of taking it out. */
export async function lookedAt(path: string, sound: SoundWish = ANY_SOUND) {
  const { signal } = new AbortController();
  const probed = await probe(path, signal);
  if (probed === null) throw new Error("there is no ffprobe");
  const found = withSurvey(path, { probed, survey: null });
  const choice = await chooseSound(found, sound, signal);
  const open = async (options: { isForced: boolean; signal: AbortSignal }) =>
    await openAudio(path, {
      file: await steadyFile(path),
      found,
      choice,
      side: sound.dualMono,
      ...options,
    });
  return { choice, open };
}

/** ffmpeg's options out of a line of them. */
export const options = (line: string) => line.split(" ");
/** A source that ffmpeg makes up. */
export const lavfi = (graph: string) => ["-f", "lavfi", "-i", graph];

/** Makes clips with ffmpeg in a folder; gives their paths. */
export function mediaMaker(folder: string) {
  const make = async (name: string, ...args: string[]): Promise<string> => {
    const path = join(folder, name);
    await run("ffmpeg", ["-v", "error", "-y", "-nostdin", ...args, `file:${path}`]);
    return path;
  };
  return {
    make,
    /** A picture of `seconds` whose first frame is at 0. */
    picture: async (name: string, seconds: number) =>
      await make(
        name,
        ...lavfi(`testsrc2=s=64x64:r=10:d=${seconds}`),
        ...options("-c:v libx264 -preset ultrafast -bf 0 -g 10"),
      ),
    /** A sound of `seconds`, silent but for a beep of 0.3 s at each of the times. */
    beeps: async (name: string, seconds: number, times: readonly number[], ...args: string[]) => {
      const on = times.map((time) => `between(t,${time},${time + 0.3})`).join("+");
      const sound = `aevalsrc='if(${on},0.5*sin(2*PI*1000*t),0)':s=48000:d=${seconds}`;
      return await make(name, ...lavfi(sound), ...args);
    },
  };
}

/** When the beeps in 16 kHz samples begin, in seconds. */
export function beepsIn(samples: Int16Array): number[] {
  const found: number[] = [];
  let lastLoud = Number.NEGATIVE_INFINITY;
  samples.forEach((sample, at) => {
    if (Math.abs(sample) < 4000) return;
    if (at - lastLoud > 1600) found.push(at / 16_000);
    lastLoud = at;
  });
  return found;
}
