import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "../../support/folder.ts";
import { endingOf } from "../../src/media/ending.ts";
import { probe } from "../../src/media/probe.ts";
import { lavfi, mediaMaker, options } from "../helpers/media/media-maker.ts";

const run = promisify(execFile);
const HANDLER = fileURLToPath(new URL("../../container", import.meta.url));
const KINDS = ["wav", "w64", "caf", "avi", "wmv", "opus", "ogg", "mkv", "mov"];
const BYTES = /^only \d+ of \d+ bytes are there; the file is damaged$/u;
let folder: string;
let wholes: string[];

beforeAll(async () => {
  const made = await testFolder();
  folder = made.path;
  const { make } = mediaMaker(folder);
  const sources = [...lavfi("testsrc2=s=64x36:r=25:d=1"), ...lavfi("anoisesrc=r=48000:d=1:a=0.1")];
  wholes = await Promise.all([
    ...KINDS.map(async (kind) => {
      const video = ["avi", "wmv", "mkv", "mov"].includes(kind) ? ["0:v", "-map", "1:a"] : ["1:a"];
      return await make(`whole.${kind}`, ...sources, "-map", ...video);
    }),
    // Its size is known beyond 4 GB only, and not at all.
    make("long.wav", ...sources, ...options("-map 1:a -rf64 always")),
    make("live.mp3", ...sources, ...options("-map 1:a")),
    make("film.mp4", ...sources, ...options("-movflags faststart")),
    make("fragments.mp4", ...sources, ...options("-movflags frag_keyframe+empty_moov -g 5")),
    make("live.webm", ...sources, ...options("-map 1:a -live 1")),
  ]);
  const { stdout } = await run("sh", ["-c", 'ffmpeg -v error -i "$0" -f wav - >"$1"; echo "$1"', ...piped()]);
  wholes.push(stdout.trim());
  return () => made[Symbol.asyncDispose]();
});

const piped = () => [join(folder, "whole.wav"), join(folder, "piped.wav")];

/** The answers of the handler's own code. */
async function handlersAnswers(paths: readonly string[]): Promise<string[][]> {
  const program =
    "import json, pathlib, sys; from mirumoji_gpu.ending import ending; " +
    "print(json.dumps([ending(pathlib.Path(path)) for path in json.loads(sys.argv[1])]))";
  const { stdout } = await run("python3", ["-c", program, JSON.stringify(paths)], {
    env: { ...process.env, PYTHONPATH: HANDLER, PYTHONDONTWRITEBYTECODE: "1" },
  });
  return JSON.parse(stdout) as string[][];
}

test("a whole file is never called damaged, also with something after its end", async () => {
  const longer = await Promise.all(
    wholes.map(async (path) => {
      await writeFile(`${path}.longer`, Buffer.concat([await readFile(path), Buffer.alloc(3000, 7)]));
      return `${path}.longer`;
    }),
  );
  const paths = [...wholes, ...longer];
  const answers = await Promise.all(paths.map(endingOf));
  expect(answers).toEqual(paths.map(() => []));
  expect(await handlersAnswers(paths)).toEqual(answers);
});

test("a file that was cut anywhere says so, where its kind promises an end", async () => {
  const paths: string[] = [];
  for (const path of wholes.filter((name) => !/piped|live|fragments/u.test(name))) {
    const data = await readFile(path);
    for (const share of [0.2, 0.55, 0.9]) {
      paths.push(`${path}.${share}`);
      await writeFile(`${path}.${share}`, data.subarray(0, Math.floor(data.length * share)));
    }
  }
  const answers = await Promise.all(paths.map(endingOf));
  paths.forEach((path, at) => {
    const says = /opus|ogg/u.test(path)
      ? "the file ends in the middle; it is damaged"
      : expect.stringMatching(BYTES);
    expect(answers[at], path).toEqual([says]);
  });
  expect(await handlersAnswers(paths)).toEqual(answers);
});

test("a file that ends in its header is no media, and no trouble of the disk", async () => {
  const path = join(folder, "header.mkv");
  await writeFile(path, (await readFile(join(folder, "whole.mkv"))).subarray(0, 400));
  expect((await probe(path, new AbortController().signal))?.streams.size).toBe(0);
});
