import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, readFile, rename, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { toMirumojiError } from "../../src/job/errors.ts";
import { planAudio } from "../../src/media/audio-plan.ts";
import { flacClock } from "../../src/media/flac-clock.ts";
import { SAFE_INPUT } from "../../src/media/input-formats.ts";
import { probe } from "../../src/media/probe.ts";
import type { AudioTrack } from "../../src/ports/media.ts";
import { testFolder } from "../../support/folder.ts";
import { lavfi, mediaMaker, options, lookedAt, openTrack } from "../helpers/media/media-maker.ts";

const calm = new AbortController().signal;
let folder: string;
let film: string;
let media: ReturnType<typeof mediaMaker>;

beforeAll(async () => {
  const made = await testFolder();
  folder = made.path;
  media = mediaMaker(folder);
  // Noise is what FLAC can do least with; the picture makes the file large for its length.
  film = await media.make(
    "film.mkv",
    ...lavfi("testsrc2=s=320x240:r=10:d=120"),
    ...lavfi("anoisesrc=c=white:a=0.5:r=16000:d=120:seed=1"),
    ...options("-c:v mjpeg -q:v 3 -c:a aac"),
  );
  return () => made[Symbol.asyncDispose]();
});
afterEach(() => vi.unstubAllEnvs());

async function open(path: string, { isForced = false, signal = calm } = {}): Promise<AudioTrack | null> {
  return await openTrack(path, { isForced, signal });
}

async function forced(path: string, signal = calm): Promise<AudioTrack> {
  const track = await open(path, { isForced: true, signal });
  if (track === null) throw new Error("a forced track is always one");
  return track;
}

/** Reads all of it; gives its size. */
async function drain(track: AudioTrack, look: (chunk: Uint8Array) => void = () => {}): Promise<number> {
  let bytes = 0;
  for await (const chunk of track.content) {
    bytes += chunk.length;
    look(chunk);
  }
  return bytes;
}

async function readSome(track: AudioTrack): Promise<void> {
  await track.content[Symbol.asyncIterator]().next();
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  return await action.then(
    () => "accepted",
    (error: unknown) => toMirumojiError(error).code,
  );
}

/** A folder of stand-ins that comes first in the PATH. */
async function programs(name: string, script: string): Promise<void> {
  const bin = join(folder, `bin-${Math.random().toString(36).slice(2)}`);
  execFileSync("mkdir", [bin]);
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  vi.stubEnv("PATH", `${bin}:${process.env["PATH"] ?? ""}`);
}

describe("an audio track", () => {
  it("has the same bytes in every run, its length and size foretold", async () => {
    const digests: string[] = [];
    for (let run = 0; run < 2; run++) {
      const track = await forced(film);
      const hash = createHash("sha256");
      const guesses: number[] = [];
      const total = await drain(track, (chunk) => {
        hash.update(chunk);
        if (track.seconds() > 5) guesses.push(track.expectedBytes());
      });
      expect(total).toBeGreaterThan(3_000_000);
      expect(guesses.length).toBeGreaterThan(10);
      for (const guess of guesses) expect(Math.abs(guess / total - 1)).toBeLessThan(0.1);
      expect(track.seconds()).toBeCloseTo(120, 0);
      await track.close();
      digests.push(hash.digest("hex"));
    }
    expect(digests[0]).toBe(digests[1]);
  });

  it("waits for its reader, with nothing but a pipe full in memory", async () => {
    const track = await forced(film);
    await readSome(track);
    await sleep(300);
    await readSome(track);
    expect(track.seconds()).toBeLessThan(10);
    await track.close();
  });

  it("ends within 100 ms when it is stopped, with the reason of the stop", async () => {
    await programs("ffmpeg", "exec sleep 60");
    const stop = new AbortController();
    const track = await forced(film, stop.signal);
    let stoppedAt = 0;
    setTimeout(() => {
      stoppedAt = performance.now();
      stop.abort(new Error("enough"));
    }, 50);
    await expect(drain(track)).rejects.toThrow("enough");
    await track.close();
    expect(performance.now() - stoppedAt).toBeLessThan(100);
  });

  it("notices that the file changes under it", async () => {
    const data = await readFile(film);
    const changes: ((path: string) => Promise<void>)[] = [
      async (path) => await appendFile(path, "more"),
      async (path) => await utimes(path, new Date(), new Date(0)),
      async (path) => {
        await writeFile(`${path}.new`, data);
        await rename(`${path}.new`, path);
      },
    ];
    for (const change of changes) {
      const path = join(folder, "changing.mkv");
      await writeFile(path, data);
      const track = await forced(path);
      await readSome(track);
      await change(path);
      expect(await codeOf(drain(track))).toBe("INPUT_CHANGED");
      await track.close();
    }
  });

  it("fails with ffmpeg's own words, and says which program is missing", async () => {
    const failing = async () => {
      const track = await forced(film);
      try {
        await drain(track);
      } finally {
        await track.close();
      }
    };
    await programs("ffmpeg", "echo 'no such decoder' >&2; echo fLaC; exit 3");
    await expect(failing()).rejects.toMatchObject({
      code: "AUDIO_EXTRACTION_FAILED",
      message: "ffmpeg failed with exit code 3: no such decoder",
    });
    await programs("ffmpeg", "kill -9 $$");
    await expect(failing()).rejects.toThrow("ffmpeg was ended by SIGKILL");
    await programs("ffmpeg", "exit 0");
    await expect(failing()).rejects.toThrow("found no sound");
    const { open: openFilm } = await lookedAt(film);
    const empty = join(folder, "empty-bin");
    execFileSync("mkdir", [empty]);
    vi.stubEnv("PATH", empty);
    const track = await openFilm({ isForced: true, signal: calm });
    expect(await codeOf(drain(track as AudioTrack))).toBe("PROGRAM_MISSING");
    expect(await probe(film, calm)).toBeNull();
  });

  it("knows no playlist, whose entries could be any file of this machine", async () => {
    await media.beeps("secret.wav", 1, [0.2]);
    const list = join(folder, "list.m3u8");
    await writeFile(list, `#EXTM3U\n#EXTINF:1,\n${join(folder, "secret.wav")}\n`);
    expect((await probe(list, calm))?.streams.size).toBe(0);
    const link = join(folder, "list.mp4");
    await symlink(list, link);
    expect((await probe(link, calm))?.streams.size).toBe(0);
    const handler = fileURLToPath(new URL("../../container/mirumoji_gpu/ffmpeg.py", import.meta.url));
    const [, formats = ""] = /INPUT_FORMATS = \(([^)]*)\)/u.exec(await readFile(handler, "utf8")) ?? [];
    expect(SAFE_INPUT.at(-1)).toBe(formats.replaceAll(/[\s"]/gu, ""));
  });
});

describe("what is sent", () => {
  it("is the track of a film, as it is less in any case", async () => {
    const track = await open(film);
    expect(track?.inputBytes).toBeGreaterThan(5_000_000);
    await track?.close();
  });

  it.each([
    ["a small file", { sizeBytes: 900_000, seconds: 1, hasVideo: true }, "file"],
    ["a film", { sizeBytes: 2e9, seconds: 6000, hasVideo: true }, "track"],
    ["a film that hides its length", { sizeBytes: 2e9, seconds: null, hasVideo: true }, "track"],
    ["a sound that hides its length", { sizeBytes: 2e9, seconds: null, hasVideo: false }, "file"],
    ["a WAV", { sizeBytes: 6000 * 192_000, seconds: 6000, hasVideo: false }, "track"],
    ["speech of 128 kbit/s", { sizeBytes: 6000 * 16_000, seconds: 6000, hasVideo: false }, "taste"],
  ] as const)("is told from what is known of %s", (_, file, plan) => {
    expect(planAudio(file)).toBe(plan);
  });

  it("is the file when its audio is small already, and the track when a piece of it shows a gain", async () => {
    const noise = [...lavfi("anoisesrc=c=white:a=0.5:r=16000:d=160:seed=1"), "-ac", "1"];
    const small = await media.make("small.flac", ...noise, "-sample_fmt", "s16", "-c:a", "flac");
    expect(await open(small)).toBeNull();
    const opus = await media.make("small.opus", ...noise, "-c:a", "libopus", "-b:a", "96k");
    expect(await open(opus)).toBeNull();
    const tone = [...lavfi("sine=f=300:r=48000:d=160"), ...options("-ac 2 -c:a mp2 -b:a 160k")];
    const quiet = await media.make("tone.mp2", ...tone);
    const track = await open(quiet);
    expect(track?.inputBytes).toBe((await stat(quiet)).size);
    expect(await drain(track as AudioTrack)).toBeLessThan(2_000_000);
    await track?.close();
  });

  it("is given up when it turns out to be no less than the file", async () => {
    await programs("ffmpeg", "head -c 100000000 /dev/zero");
    const endless = await open(film);
    await expect(drain(endless as AudioTrack)).rejects.toThrow(/the audio has more than \d+ bytes/u);
    await endless?.close();
  });
});

describe("the clock of a FLAC stream", () => {
  it("reads times from frames wherever the stream is cut, and is not taken in by what looks like one", async () => {
    const path = await media.make(
      "clock.flac",
      ...lavfi("anoisesrc=c=white:a=0.9:r=16000:d=90:seed=3"),
      ...options("-sample_fmt s16 -c:a flac -frame_size 1152"),
    );
    const data = await readFile(path);
    for (const step of [997, 65_536, data.length]) {
      const clock = flacClock(1152 / 16_000);
      let before = 0;
      for (let at = 0; at < data.length; at += step) {
        clock.pass(data.subarray(at, at + step));
        expect(clock.seconds).toBeGreaterThanOrEqual(before);
        expect(clock.seconds).toBeLessThan(90.1);
        before = clock.seconds;
      }
      expect(clock.seconds).toBeCloseTo(90, 0);
    }
  });
});
