import { readFile, writeFile } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "../../support/folder.ts";
import {
  NO_ENGINE,
  SAMPLE,
  SAMPLE_TEXT,
  type Segment,
  Sandbox,
  sandbox,
  writeText,
} from "../helpers/handler/handler.ts";

// Real ffmpeg and real PocketSphinx. The sample is transcribed once for all tests that only look at the outcome.
let plain: { box: Sandbox; segments: Segment[]; transcript: Awaited<ReturnType<Sandbox["transcribe"]>> };

beforeAll(async () => {
  const folder = await testFolder();
  const box = new Sandbox(folder.path);
  const transcript = await box.transcribe(await box.put(SAMPLE), { language: "en" });
  plain = { box, transcript, segments: await box.segments(transcript) };
  return () => folder[Symbol.asyncDispose]();
});

const words = (segments: readonly Segment[]) =>
  segments.flatMap((segment) => segment.text.toLowerCase().split(" "));

test("the sample comes out word for word, one cue per sentence", () => {
  const sentences = SAMPLE_TEXT.text.split(/(?<=\.) /).map((sentence) => sentence.replaceAll(/[.,]/g, ""));
  expect(plain.segments.map((segment) => segment.text)).toEqual(sentences);
  for (const keyword of SAMPLE_TEXT.keywords) expect(words(plain.segments)).toContain(keyword);
});

test("cues are where the words are spoken, in order and inside the media", () => {
  // The voice starts 1 s into the clip; the sentences are 0.9 s and more apart.
  expect(plain.segments[0]?.start).toBeGreaterThan(0.9);
  expect(plain.segments[0]?.start).toBeLessThan(1.5);
  plain.segments.forEach((segment, index) => {
    const next = plain.segments[index + 1];
    expect(segment.end).toBeGreaterThan(segment.start + 1);
    if (next) expect(next.start - segment.end).toBeGreaterThan(0.7);
    expect(segment.end).toBeLessThanOrEqual(plain.transcript.mediaSeconds);
  });
});

test("the answer is what the contract says, and nothing else", () => {
  expect(plain.transcript).toEqual({
    v: 1,
    ok: true,
    path: "job-1/out/segments.json",
    bytes: expect.any(Number),
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/u),
    engine: "pocketsphinx",
    model: "en-us",
    language: "en",
    languageProbability: null,
    speechSeconds: null,
    droppedSegments: 0,
    mediaSeconds: expect.closeTo(15.38, 0),
    gpuSeconds: expect.any(Number),
    seconds: expect.any(Object),
    tracks: [{ kind: "audio", number: 1, codec: "aac", why: "the only one", language: "en" }],
    warnings: [],
  });
  expect(plain.transcript.gpuSeconds).toBeGreaterThan(0.2);
  const { download, load, compute, upload } = plain.transcript.seconds;
  expect(compute).toBeGreaterThanOrEqual(plain.transcript.gpuSeconds - 0.01);
  expect(load).toBe(0);
  expect(Math.max(download, upload)).toBeLessThan(compute);
});

test("progress goes through the stages and never backwards, a few lines a second", () => {
  const progress = plain.box.progress();
  const stages = [...new Set(progress.map((line) => line.stage))];
  expect(stages).toEqual(["download", "prepare", "transcribe", "upload"]);
  for (const stage of stages) {
    const fractions = progress.filter((line) => line.stage === stage).map((line) => line.fraction);
    expect(fractions.at(0)).toBe(0);
    expect(fractions.at(-1)).toBe(1);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(new Set(fractions).size).toBe(fractions.length);
  }
  const working = progress.filter((line) => line.stage === "transcribe");
  expect(working.length, "something between the start and the end").toBeGreaterThan(3);
  expect(working.length).toBeLessThan(4 * plain.transcript.gpuSeconds + 3);
});

test("audio that starts late keeps its place on the time line", async () => {
  const box = await sandbox();
  const how = ["-itsoffset", "3", "-i", SAMPLE, "-map", "0:v", "-map", "1:a", "-c", "copy"];
  const late = await box.clip("late.mp4", "-i", SAMPLE, ...how);
  const transcript = await box.transcribe(await box.put(late), { language: "en" });
  const moved = await box.segments(transcript);
  expect(moved.map((segment) => segment.text)).toEqual(plain.segments.map((segment) => segment.text));
  moved.forEach((segment, index) => {
    const shift = segment.start - (plain.segments[index]?.start ?? 0);
    expect(Math.abs(shift - 3), `cue ${index} moved by ${shift} s`).toBeLessThan(0.1);
  });
  expect(transcript.mediaSeconds).toBeCloseTo(plain.transcript.mediaSeconds + 3, 0);
});

test("silence is a transcript without segments and a warning, not a failure", async () => {
  const box = await sandbox();
  const silence = await box.clip("silence.wav", "-f", "lavfi", "-i", "anullsrc=r=44100", "-t", "2");
  const transcript = await box.transcribe(await box.put(silence, "s.wav"), { language: "en" });
  expect(await box.segments(transcript)).toEqual([]);
  expect(transcript.warnings).toEqual(["no speech was found"]);
  expect(transcript.mediaSeconds).toBeCloseTo(2, 1);
});

test("a file that ends too early is transcribed as far as it goes, with a warning", async () => {
  const box = await sandbox();
  const front = await box.clip("whole.mp4", "-i", SAMPLE, "-c", "copy", "-movflags", "+faststart");
  const data = await readFile(front);
  await writeFile(front, data.subarray(0, Math.floor(data.length / 3)));
  const transcript = await box.transcribe(await box.put(front), { language: "en" });
  expect(transcript.warnings).toEqual([expect.stringMatching(/^only \d+\.\d of 15\.\d s could be decoded/)]);
  expect((await box.segments(transcript)).length).toBeGreaterThan(0);
});

test("Japanese is refused when only PocketSphinx is there, instead of writing English nonsense", async () => {
  const box = await sandbox();
  const path = await box.put(SAMPLE);
  for (const kwargs of [{ w_transcribe_args: { language: "ja" } }, {}]) {
    const error = await box.refusal({ function: "transcribe", args: [path, "vo-test"], kwargs });
    expect(error.code).toBe("LANGUAGE_UNSUPPORTED");
    expect(error.message).toMatch(/'ja'.*pocketsphinx/);
    expect(box.progress(), "refused before anything is copied").toEqual([]);
  }
});

test("no engine at all", async () => {
  const box = await sandbox();
  const path = await box.put(SAMPLE);
  const call = { function: "transcribe", args: [path, "vo-test"], programs: NO_ENGINE } as const;
  const error = await box.refusal({ ...call, args: [...call.args] });
  expect(error.code).toBe("ENGINE_MISSING");
  expect(error.message).toMatch(/faster-whisper.*whisper-cli.*pocketsphinx/);
});

test("no ffmpeg", async () => {
  const box = await sandbox();
  const path = await box.put(SAMPLE);
  for (const call of [
    { function: "transcribe", args: [path, "vo-test"], kwargs: { w_transcribe_args: { language: "en" } } },
    { function: "convert", args: [path, "vo-test"] },
  ] as const) {
    const error = await box.refusal({ ...call, args: [...call.args], programs: ["pocketsphinx_continuous"] });
    expect(error).toEqual({ code: "ENGINE_MISSING", message: expect.stringContaining("ffmpeg") });
  }
});

test.each([
  [{ beam_size: 8 }, "beam_size"],
  [{ temperature: 0.4 }, "temperature"],
  [{ hotwords: "names" }, "hotwords"],
  [{ initial_prompt: "names" }, "initial_prompt"],
  [{ condition_on_previous_text: true }, "condition_on_previous_text"],
  [{ no_speech_threshold: 0.6 }, "no_speech_threshold"],
])("PocketSphinx refuses %o", async (option, name) => {
  const box = await sandbox();
  const path = await box.put(SAMPLE);
  const kwargs = { w_transcribe_args: { language: "en", ...option } };
  const error = await box.refusal({ function: "transcribe", args: [path, "vo-test"], kwargs });
  expect(error.code).toBe("OPTION_UNSUPPORTED");
  expect(error.message).toMatch(new RegExp(`pocketsphinx.*${name}`));
});

test("options and formats that nobody knows", async () => {
  const box = await sandbox();
  const path = await box.put(SAMPLE);
  const cases = [
    { args: [path, "vo-test", "srt"], kwargs: {}, says: "'srt'" },
    { args: [path, "vo-test"], kwargs: { w_transcribe_args: { beam: 5 } }, says: "'beam'" },
    { args: [path, "vo-test"], kwargs: { w_model_args: { size: "tiny" } }, says: "'size'" },
  ];
  for (const { args, kwargs, says } of cases) {
    const error = await box.refusal({ function: "transcribe", args, kwargs });
    expect(error).toEqual({ code: "OPTION_UNSUPPORTED", message: expect.stringContaining(says) });
  }
});

test("every option at Mirumoji's default is fine with every engine", async () => {
  const box = await sandbox();
  const short = await box.clip("s.wav", "-f", "lavfi", "-i", "anullsrc=r=16000", "-t", "1");
  const transcript = await box.transcribe(
    await box.put(short, "s.wav"),
    {
      language: "en",
      beam_size: 5,
      best_of: 5,
      patience: 1,
      length_penalty: 1,
      temperature: 0,
      compression_ratio_threshold: 2,
      log_prob_threshold: -1,
      no_speech_threshold: 0.3,
      condition_on_previous_text: false,
      initial_prompt: null,
      vad_filter: false,
      clean_audio: false,
    },
    { kwargs: { w_model_args: { model: "large-v3", device: "cuda", compute_type: "float16" } } },
  );
  expect(transcript.engine).toBe("pocketsphinx");
});

test("what is no media, or has no audio", async () => {
  const box = await sandbox();
  const english = { w_transcribe_args: { language: "en" } };
  const text = await box.put(await writeText(box.root, "notes.txt", "not a film\n".repeat(50)), "notes.mp4");
  const mute = await box.put(
    await box.clip("mute.mp4", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-c:v", "libx264"),
    "mute.mp4",
  );
  for (const [path, says] of [
    [text, /'notes\.mp4' is no audio or video/],
    [mute, /'mute\.mp4' has no audio stream/],
  ] as const) {
    const error = await box.refusal({ function: "transcribe", args: [path, "vo-test"], kwargs: english });
    expect(error).toEqual({ code: "INPUT_NOT_MEDIA", message: expect.stringMatching(says) });
  }
});
