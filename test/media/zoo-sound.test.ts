import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { testFolder } from "../../support/folder.ts";
import { ANY_SOUND, type SoundWish } from "../../src/media/choose-audio.ts";
import { lavfi, lookedAt, options } from "../helpers/media/media-maker.ts";
import { beepsOf } from "../helpers/media/referee.ts";
import { zooMaker } from "../helpers/media/zoo.ts";

const run = promisify(execFile);
const HANDLER = fileURLToPath(new URL("../../container", import.meta.url));
const { signal } = new AbortController();

const ADVERT = "advert-at-another-rate.mp3";

/** A file, the sound that is wanted of it, and the right values. */
interface Recipe {
  readonly name: string;
  readonly wish?: Partial<SoundWish>;
  readonly beeps: readonly number[];
  readonly track?: number;
  readonly warns?: RegExp;
}

const RECIPES: readonly Recipe[] = [
  { name: "layout-change.ts", beeps: [1, 3] },
  { name: "clock-ahead.ts", beeps: [1, 3] },
  { name: "clock-back.ts", beeps: [1, 3] },
  { name: "rate-change.ts", beeps: [1, 3] },
  { name: "described-first.ts", wish: { language: "en" }, beeps: [1, 3], track: 2 },
  { name: "chained.opus", beeps: [1, 3, 5, 7] },
  { name: "muted.webm", beeps: [1, 3, 2501] },
  { name: "two-languages.mkv", wish: { language: "en" }, beeps: [1, 3], track: 2 },
  { name: "two-languages.mkv", wish: { language: "ja" }, beeps: [0], track: 1 },
  { name: "two-languages.mkv", wish: { audioTrack: 2 }, beeps: [1, 3], track: 2 },
  { name: "two-languages.mkv", wish: { language: "fr" }, beeps: [0], track: 1, warns: /2 fit as well/u },
  { name: "commentary-first.mkv", wish: { language: "en" }, beeps: [1, 3], track: 2 },
  { name: "empty-first.mkv", beeps: [1, 3], track: 2 },
  { name: "six-tracks.wav", beeps: [0.5] },
  { name: "sixty-tracks.wav", beeps: [0.5] },
  { name: "dual-mono.wav", wish: { dualMono: "right" }, beeps: [1, 3] },
  { name: "opposed.wav", beeps: [1, 3], warns: /opposite phase/u },
  { name: "cut-off.mkv", beeps: [1], warns: /only 2\.\d of 4\.\d s could be decoded; the file is damaged/u },
  { name: "late-start.mka", beeps: [1, 3] },
  { name: "zeros.mp4", beeps: [1], warns: /only [12]\.\d of 4\.\d s could be decoded; the file is damaged/u },
  { name: ADVERT, beeps: [1.07, 3.07, 5.12, 7.12] },
  { name: "guessed-length.mp3", beeps: [11, 13] },
  { name: "long-subtitle.mkv", beeps: [1, 3] },
  { name: "late-sound.vob", beeps: [31, 33] },
];

let folder: string;
interface Heard {
  readonly path: string;
  readonly number: number | undefined;
  readonly warnings: readonly string[];
}
/** Sound that the worker sends of each file, and sound that the handler makes of the whole one. */
const takenOut = new Map<Recipe, Heard>();
const decoded = new Map<Recipe, Heard>();
/** The most memory that a program took for one of them. */
let mostKb: number;

beforeAll(async () => {
  const made = await testFolder();
  folder = made.path;
  const zoo = zooMaker(folder);
  const { make, sound } = zoo;
  const at = (name: string) => join(folder, name);
  await zoo.base();
  const tone = lavfi("sine=300:d=4");
  const film = await zoo.film("film.mkv");
  await Promise.all([
    zoo.broadcast("layout-change.ts", 0, 6),
    zoo.broadcast("clock-ahead.ts", 40),
    zoo.broadcast("clock-back.ts", -2),
    zoo.rateChange("rate-change.ts"),
    make(
      "described-first.ts",
      ...tone,
      ...sound,
      ...options("-map 0 -map 1 -c:a mp2 -metadata:s:0 language=qad -metadata:s:1 language=fra,eng"),
    ),
    zoo.tracks("six-tracks.wav", 6, 3),
    zoo.tracks("sixty-tracks.wav", 60, 40),
    zoo.cut("cut-off.mkv", film, 0.55),
    make("late-start.mka", ...sound, ...options("-c:a libopus -output_ts_offset 100")),
    zoo.zeros("zeros.mp4", await zoo.film("whole.mp4", ...options("-movflags faststart")), 0.6),
    make("advert.mp3", ...sound, ...options("-ar 22050 -write_xing 0 -id3v2_version 0")),
    make("talk.mp3", ...sound, ...options("-write_xing 0 -id3v2_version 0")),
    make("link.opus", ...sound, "-c:a", "libopus"),
    make("opposed.wav", ...sound, "-af", "pan=stereo|c0=c0|c1=-1*c0"),
    make("dual-mono.wav", ...sound, "-af", "pan=stereo|c0=0*c0|c1=c0"),
    make(
      "guessed-length.mp3",
      ...sound,
      ...options("-af adelay=10000:all=1 -q:a 0 -write_xing 0 -id3v2_version 0"),
    ),
    make(
      "two-languages.mkv",
      ...tone,
      ...sound,
      ...options(
        "-map 0 -map 1 -c:a aac -metadata:s:0 language=jpn -metadata:s:1 language=eng -disposition 0",
      ),
    ),
    make(
      "commentary-first.mkv",
      ...tone,
      ...sound,
      ...options("-map 0 -map 1 -c:a aac -metadata:s:0 language=eng -metadata:s:1 language=eng"),
      ...options("-disposition:0 comment -disposition:1 default"),
    ),
    make(
      "late-sound.vob",
      ...lavfi("color=gray:s=64x64:r=25:d=35"),
      "-itsoffset",
      "30",
      ...sound,
      ...options("-map 0 -map 1 -c:v mpeg2video -c:a mp2 -f vob"),
    ),
  ]);
  await make(
    "empty-first.mkv",
    "-i",
    film,
    "-i",
    film,
    ...options("-map 0:v -map 0:a -map 1:a -c copy -bsf:a:0 noise=drop=1"),
  );
  await run("sh", ["-c", 'cat "$0" "$0" >"$1"', at("link.opus"), at("chained.opus")]);
  await run("sh", ["-c", 'cat "$0" "$1" >"$2"', ...["advert.mp3", "talk.mp3", ADVERT].map(at)]);
  const list = `file ${at("link.opus")}\nduration 2500\nfile ${at("link.opus")}\n`;
  await writeFile(at("list.txt"), list);
  await make("muted.webm", ...options("-f concat -safe 0 -i"), at("list.txt"), ...options("-t 2502 -c copy"));
  await writeFile(
    at("late.srt"),
    "1\n00:00:01,000 --> 00:00:02,000\nhi\n\n2\n00:00:40,000 --> 00:01:00,000\nbye\n",
  );
  await make(
    "long-subtitle.mkv",
    "-i",
    film,
    "-i",
    at("late.srt"),
    ...options("-map 0 -map 1 -c copy -c:s srt"),
  );
  for (const recipe of RECIPES) takenOut.set(recipe, await takeOut(at(recipe.name), recipe));
  const whole = await hearWhole(RECIPES.map(({ name, wish }) => ({ path: at(name), ...ANY_SOUND, ...wish })));
  RECIPES.forEach((recipe, number) => decoded.set(recipe, whole.heard[number] as Heard));
  mostKb = whole.mostKb;
  return () => made[Symbol.asyncDispose]();
}, 240_000);

async function takeOut(path: string, { wish = {} }: Recipe): Promise<Heard> {
  const sound = { ...ANY_SOUND, ...wish };
  const { choice, open } = await lookedAt(path, sound);
  const track = await open({ isForced: true, signal });
  if (track === null) throw new Error("a forced track is always one");
  const target = `${path}.${takenOut.size}.flac`;
  await pipeline(track.content, createWriteStream(target));
  const warnings = [...(choice?.warnings ?? []), ...(await track.damage())];
  await track.close();
  return { path: target, number: choice?.number, warnings };
}

/** The handler's way, for all files in one process. */
async function hearWhole(
  wishes: readonly (SoundWish & { readonly path: string })[],
): Promise<{ heard: Heard[]; mostKb: number }> {
  const program = `
import json, pathlib, resource, sys
from mirumoji_gpu.options import SourceOptions
from mirumoji_gpu.transcription import _listen
answers = []
for number, wish in enumerate(json.loads(sys.argv[1])):
    source = pathlib.Path(wish["path"])
    asked = SourceOptions(wish["language"], wish["audioTrack"], wish["dualMono"])
    heard = _listen(source, source.name, asked, source.with_name(f"{number}.wav"), False, 0.0, None)
    tracks = [track["number"] for track in heard.tracks]
    answers.append({"path": str(heard.audio), "number": tracks[0], "warnings": heard.warnings})
print(json.dumps({"heard": answers, "mostKb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}))
`;
  const { stdout } = await run("python3", ["-c", program, JSON.stringify(wishes)], {
    env: { ...process.env, PYTHONPATH: HANDLER, PYTHONDONTWRITEBYTECODE: "1" },
    maxBuffer: 64 * 1024 * 1024,
  });
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { heard: Heard[]; mostKb: number };
}

describe("the sound of", () => {
  it.each(RECIPES)("$name $wish is heard where it was made, on either way", async (recipe) => {
    const { beeps, track = 1, warns } = recipe;
    for (const heard of [takenOut.get(recipe), decoded.get(recipe)]) {
      expect(heard?.number).toBe(track);
      expect(heard?.warnings).toEqual(warns === undefined ? [] : [expect.stringMatching(warns)]);
      const found = await beepsOf(heard?.path ?? "");
      expect(found.length, String(found)).toBe(beeps.length);
      beeps.forEach((right, at) =>
        expect(Math.abs((found[at] ?? 0) - right), String(found)).toBeLessThan(0.06),
      );
    }
  });

  it("a pause of 40 minutes is not made in memory in one", () => {
    expect(mostKb).toBeLessThan(120_000);
  });

  it("files is the same to the last bit on either way", async () => {
    for (const recipe of RECIPES) {
      const { stdout } = await run("ffmpeg", samplesOf(takenOut.get(recipe)?.path ?? ""), BYTES);
      const whole = await run("ffmpeg", samplesOf(decoded.get(recipe)?.path ?? ""), BYTES);
      expect(stdout.equals(whole.stdout), recipe.name).toBe(true);
    }
  });
});

const BYTES = { encoding: "buffer", maxBuffer: 256 * 1024 * 1024 } as const;
const samplesOf = (path: string) => ["-v", "error", "-i", path, "-f", "md5", "-"];
