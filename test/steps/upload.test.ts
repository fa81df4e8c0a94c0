import { describe, expect, it } from "vitest";
import { decodeCheckpoint, encodeCheckpoint, firstCheckpoint, rewound } from "../../src/job/checkpoint.ts";
import { REQUEST_SCHEMAS } from "../../src/job/contract.ts";
import { type ErrorCode, MirumojiError } from "../../src/job/errors.ts";
import type { RunnerTools } from "../../src/runner/job-run.ts";
import { callInput } from "../../src/steps/call-input.ts";
import type { AudioTrack } from "../../src/ports/media.ts";
import { upload } from "../../src/steps/upload.ts";
import { FakeWorld } from "../helpers/runner/fake-world.ts";

interface Scene {
  readonly type?: "transcribe" | "convert";
  readonly mode?: RunnerTools["uploadAudioOnly"];
  /** How the track fails; half-way when it is that. */
  readonly failsWith?: ErrorCode;
  readonly isSmall?: boolean;
  readonly seconds?: number;
}

/** Runs the step in a world where the input has 1000 bytes and its track 40. */
async function send({ type = "transcribe", mode = "auto", failsWith, isSmall = false, seconds = 60 }: Scene) {
  const world = new FakeWorld();
  world.volumes.add("vo-1");
  const fake = world.tools();
  const put: string[] = [];
  const warnings: string[] = [];
  let closed = 0;
  const track: AudioTrack = {
    inputBytes: 1000,
    expectedBytes: () => 40,
    seconds: () => seconds,
    levels: () => null,
    damage: async () => await Promise.resolve(seconds < 59 ? ["damaged"] : []),
    close: async () => {
      closed += 1;
      await Promise.resolve();
    },
    content: (async function* () {
      yield await Promise.resolve(new Uint8Array(20));
      if (failsWith !== undefined) throw new MirumojiError(failsWith, "half-way");
      yield new Uint8Array(20);
    })(),
  };
  const tools: RunnerTools = {
    ...fake,
    uploadAudioOnly: mode,
    models: { allowed: [] },
    media: {
      ...fake.media,
      openInput: async () =>
        await Promise.resolve({
          localPath: "/media/film.mkv",
          seconds: 61,
          track: TAKEN,
          warnings: [],
          openAudio: async ({ isForced }) => await Promise.resolve(isSmall && !isForced ? null : track),
          [Symbol.asyncDispose]: async () => await Promise.resolve(),
        }),
    },
    volumes: {
      ...fake.volumes,
      putFile: async ({ remotePath }) => {
        put.push(remotePath);
        return await Promise.resolve({ sizeBytes: 1000, sentBytes: 900 });
      },
      putStream: async ({ remotePath, content, insteadOfBytes }) => {
        let sizeBytes = 0;
        for await (const chunk of content) sizeBytes += chunk.length;
        put.push(`${remotePath} instead of ${insteadOfBytes ?? 0}`);
        return { sizeBytes, sentBytes: sizeBytes };
      },
    },
  };
  const job =
    type === "transcribe"
      ? { type, request: REQUEST_SCHEMAS.transcribe.parse({ v: 1, input: "film.mkv" }) }
      : { type, request: REQUEST_SCHEMAS.convert.parse({ v: 1, input: "film.mkv" }) };
  const gained = await upload(
    {
      id: "j1",
      reserve: async () => await Promise.resolve(),
      speed: async () => await Promise.resolve(null),
      request: job,
      facts: { volumeId: "vo-1" },
      enteredAt: 0,
      signal: new AbortController().signal,
      report: () => {},
      warn: (message) => warnings.push(message),
      save: async () => await Promise.resolve(),
    },
    tools,
  ).catch((error: unknown) => error);
  return { gained, put, warnings, closed };
}

const WHOLE = { remotePath: "j1/film.mkv", inputBytes: 1000, sentBytes: 900, inputSeconds: 61 };
const TAKEN = { kind: "audio", number: 2, why: "of the wanted language" } as const;
const TRACK = {
  inputTracks: [TAKEN],
  remotePath: "j1/audio.flac",
  inputBytes: 1000,
  sentBytes: 40,
  audioOnly: true,
  inputSeconds: 61,
};

describe("the upload of a transcribe job", () => {
  it("is that of the audio track, and says what it stands for", async () => {
    expect(await send({})).toEqual({
      gained: TRACK,
      put: ["j1/audio.flac instead of 1000"],
      warnings: [],
      closed: 1,
    });
  });

  it("is the input where that is small, or the setting says so", async () => {
    for (const scene of [{ isSmall: true }, { mode: "never" as const }, { type: "convert" as const }]) {
      expect(await send(scene)).toEqual({ gained: WHOLE, put: ["j1/film.mkv"], warnings: [], closed: 0 });
    }
    expect((await send({ isSmall: true, mode: "always" })).gained).toEqual(TRACK);
    expect((await send({ type: "convert", mode: "always" })).gained).toEqual(WHOLE);
  });

  it.each(["AUDIO_EXTRACTION_FAILED", "PROGRAM_MISSING"] as const)(
    "falls back to the input after %s, with a line in the log, unless it must be the track",
    async (failsWith) => {
      const auto = await send({ failsWith });
      expect(auto).toEqual({
        gained: WHOLE,
        put: ["j1/film.mkv"],
        warnings: ["the whole input is sent, not only its audio: half-way"],
        closed: 1,
      });
      const always = await send({ failsWith, mode: "always" });
      expect(always).toMatchObject({ gained: { code: failsWith }, put: [], closed: 1 });
    },
  );

  it.each(["INPUT_CHANGED", "TRANSFER_FAILED", "VOLUME_LOST"] as const)(
    "does not hide %s behind a second way",
    async (failsWith) => {
      expect(await send({ failsWith })).toMatchObject({ gained: { code: failsWith }, put: [], closed: 1 });
    },
  );

  it("notes that less could be decoded than the input promises", async () => {
    expect((await send({ seconds: 30 })).gained).toEqual({
      ...TRACK,
      inputWarnings: ["damaged"],
    });
    expect((await send({ seconds: 59 })).gained).toEqual(TRACK);
  });

  it("is remembered in the checkpoint, until the volume has to be made again", () => {
    const inputWarnings = ["only half of it"];
    const facts = { volumeId: "vo-1", ...TRACK, inputWarnings };
    const stored = { ...firstCheckpoint(0, 0), state: "call" as const, facts };
    expect(decodeCheckpoint(encodeCheckpoint(stored))).toEqual(stored);
    expect(rewound(stored, "call", 1).facts).toEqual(facts);
    expect(rewound(stored, "upload", 1).facts).toEqual({ volumeId: "vo-1" });
    const request = REQUEST_SCHEMAS.transcribe.parse({ v: 1, input: "film.mkv" });
    const call = callInput({ type: "transcribe", request }, facts, {
      imageFunction: "jobs:transcribe",
      models: { allowed: [] },
    });
    expect(call.args).toEqual(["j1/audio.flac", "vo-1", "srt"]);
  });
});
