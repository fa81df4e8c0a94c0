import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { testFolder } from "../../support/folder.ts";
import { beepsIn, mediaMaker, openTrack } from "../helpers/media/media-maker.ts";

const run = promisify(execFile);
const HANDLER = fileURLToPath(new URL("../../container", import.meta.url));

/*
 * Files whose sound has a beep at known times of what a player shows: where the first of all streams begins is 0.
 * Each goes two ways: whole to the handler, and as the track that the worker takes out of it.
 */

const LATE = ["late.mkv", "late.mp4", "late.ts", "late.mpg", "late-at-0.ts"];
const EARLY = ["early.mkv", "early.mp4", "early.ts"];
const HOLE = ["hole.mkv", "hole.ts"];
const NAMES = [...LATE, ...EARLY, ...HOLE, "edited.mp4", "two.mkv", "alone.m4a", "joined.ts"];

let folder: string;
beforeAll(async () => {
  const made = await testFolder();
  folder = made.path;
  const { make, picture, beeps } = mediaMaker(folder);
  await picture("v.mp4", 24);
  await beeps("a.m4a", 10, [2, 6], "-c:a", "aac");
  await beeps("long.m4a", 24, [2, 22], "-c:a", "aac");
  const [v, a] = [join(folder, "v.mp4"), join(folder, "a.m4a")];
  const both = ["-map", "0:v", "-map", "1:a", "-c", "copy"];
  const late = ["-i", v, "-itsoffset", "0.7", "-i", a, ...both];
  const early = ["-itsoffset", "0.7", "-i", v, "-i", a, ...both];
  for (const kind of ["mkv", "mp4", "ts"]) {
    await make(`late.${kind}`, ...late);
    await make(`early.${kind}`, ...early);
  }
  await make("late-at-0.ts", ...late, "-muxdelay", "0", "-muxpreload", "0");
  const dvd = ["-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2", "-f", "vob"];
  await make("late.mpg", ...late, ...dvd);
  await make("edited.mp4", "-ss", "1", "-i", join(folder, "late.mp4"), "-c", "copy");
  // Removes 4 to 19 s from the sound alone.
  const hole = ["-bsf:a", "noise=drop='between(pts*tb,4,19)'"];
  await make("hole.mp4", "-i", v, "-i", join(folder, "long.m4a"), ...both, ...hole);
  for (const kind of ["mkv", "ts"]) {
    const piece = ["-i", join(folder, "hole.mp4"), "-c", "copy", "-pes_payload_size", "0"];
    await make(`hole.${kind}`, ...piece);
  }
  const ts = await readFile(join(folder, "early.ts"));
  await writeFile(join(folder, "joined.ts"), Buffer.concat([ts, ts]));
  await make("two.mkv", "-i", v, "-i", a, "-i", join(folder, "long.m4a"), ...both, "-map", "2:a");
  await copyFile(a, join(folder, "alone.m4a"));
  const tracks = NAMES.map(async (name) => await saveTrack(join(folder, name)));
  await decodeLikeHandler([...NAMES.map((name) => join(folder, name)), ...(await Promise.all(tracks))]);
  return () => made[Symbol.asyncDispose]();
}, 180_000);

/** Makes of each file the WAV that the handler gives its speech engine, beside it. */
async function decodeLikeHandler(paths: readonly string[]): Promise<void> {
  const program = `
import sys, pathlib
from mirumoji_gpu.audio import extract_audio
from mirumoji_gpu.probe import probe_file
from mirumoji_gpu.survey import survey_file
for source in map(pathlib.Path, sys.argv[1:]):
    probe = probe_file(source, "x")
    wav = source.with_name(source.name + ".wav")
    stream = next(stream for stream in probe.streams if stream["codec_type"] == "audio")
    extract_audio(source, probe, stream, wav, joints=survey_file(source, probe).joints_in(stream))
`;
  await run("python3", ["-c", program, ...paths], {
    env: { ...process.env, PYTHONPATH: HANDLER, PYTHONDONTWRITEBYTECODE: "1" },
  });
}

/** The samples of a WAV. */
async function samplesOf(path: string): Promise<Int16Array> {
  const data = await readFile(path);
  const bytes = new Uint8Array(data.subarray(data.indexOf("data") + 8));
  return new Int16Array(bytes.buffer);
}

/** Saves what the worker sends of a file. */
async function saveTrack(path: string): Promise<string> {
  const { signal } = new AbortController();
  const track = await openTrack(path, { isForced: true, signal });
  if (track === null) throw new Error("there is no track");
  const target = `${path}.flac`;
  await pipeline(track.content, createWriteStream(target));
  await track.close();
  return target;
}

describe("the place of a sound", () => {
  it.each([
    // AAC begins 21 ms early with what players skip; some containers count that in.
    ...LATE.map((name) => [name, 2.7, 6.7] as const),
    ...EARLY.map((name) => [name, 2, 6] as const),
    ...HOLE.map((name) => [name, 2, 22] as const),
    ["edited.mp4", 1.7, 5.7] as const,
    ["two.mkv", 2, 6] as const,
    ["alone.m4a", 2, 6] as const,
  ])("is that of the player in %s, sent whole and as its audio", async (name, first, second) => {
    const path = join(folder, name);
    const beeps = beepsIn(await samplesOf(`${path}.wav`));
    expect(beeps).toHaveLength(2);
    expect(Math.abs((beeps[0] ?? 0) - first)).toBeLessThan(0.03);
    expect(Math.abs((beeps[1] ?? 0) - second)).toBeLessThan(0.03);
    // To the last bit: what the speech engine hears is the same.
    expect((await readFile(`${path}.flac.wav`)).equals(await readFile(`${path}.wav`))).toBe(true);
  });

  it("goes on where two recordings were joined", async () => {
    const path = join(folder, "joined.ts");
    expect(beepsIn(await samplesOf(`${path}.wav`))).toHaveLength(4);
    expect((await readFile(`${path}.flac.wav`)).equals(await readFile(`${path}.wav`))).toBe(true);
  });
});
