import { execFileSync, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, test } from "vitest";
import { NO_ENGINE, SAMPLE, type Sandbox, sandbox, streamsOf } from "../helpers/handler/handler.ts";

// whisper.cpp and PocketSphinx 5 are not on every machine: stand-ins with their documented interfaces say what they were
// called with. ffmpeg is real. faster-whisper is tested as it is, in whisper.test.ts.
let box: Sandbox;
let path: string;
let model: string;

beforeEach(async () => {
  box = await sandbox();
  path = await box.put(SAMPLE);
  model = join(box.root, "ggml-small.bin");
  await writeFile(model, ggml(51_865));
});

/** The start of a whisper.cpp model file: magic and size of the vocabulary. */
function ggml(vocabulary: number): Buffer {
  const head = Buffer.alloc(64);
  head.write("lmgg", "latin1");
  head.writeUInt32LE(vocabulary, 4);
  return head;
}

const whisperCpp = (env: Record<string, string> = {}) => ({
  bin: "whisper-cpp",
  env: { MIRUMOJI_WHISPER_CPP_MODEL: model, ...env },
});

test("whisper-cli is called with the options it has, and its JSON is read", async () => {
  const transcript = await box.transcribe(path, { language: "ja" }, whisperCpp());
  expect(transcript).toMatchObject({ engine: "whisper.cpp", model: "small", language: "ja" });
  expect(await box.segments(transcript)).toEqual([
    { start: 0, end: 2.5, text: "Good morning." },
    { start: 4, end: 6.25, text: "おはよう。" },
  ]);
  const [args] = (await box.noted()) as [string[]];
  const value = (option: string) => args[args.indexOf(option) + 1];
  expect(value("-m")).toBe(model);
  expect(value("-l")).toBe("ja");
  expect([value("-bs"), value("-bo"), value("-lpt"), value("-nth"), value("-mc")]).toEqual([
    "5",
    "5",
    "-1.0",
    "0.3",
    "0",
  ]);
  expect(args).toContain("-oj");
  for (const option of ["-tp", "-nf", "--prompt", "--vad", "-ng"]) expect(args).not.toContain(option);
});

test("whisper-cli gets temperature, prompt, voice detection and the device", async () => {
  const options = {
    language: "en",
    temperature: 0.4,
    condition_on_previous_text: true,
    initial_prompt: "-x names",
    vad_filter: true,
  };
  const kwargs = { w_model_args: { device: "cpu", model: "small" } };
  const vad = join(box.root, "vad.bin");
  await box.transcribe(path, options, { ...whisperCpp({ MIRUMOJI_WHISPER_CPP_VAD_MODEL: vad }), kwargs });
  const [args] = (await box.noted()) as [string[]];
  const text = args.join(" ");
  expect(text).toContain("-tp 0.4 -nf --prompt -x names --vad -vm " + vad + " -ng");
  expect(args).not.toContain("-mc");
});

test.each([
  [{ patience: 2 }, {}, "patience"],
  [{ length_penalty: 2 }, {}, "length_penalty"],
  [{ compression_ratio_threshold: 2.4 }, {}, "compression_ratio_threshold"],
  [{ hotwords: "names" }, {}, "hotwords"],
  [{ task: "translate" }, {}, "task"],
  [{ initial_prompt: "names" }, {}, "initial_prompt"],
  [{}, { model: "tiny" }, "model"],
  [{}, { compute_type: "int8" }, "compute_type"],
])("whisper.cpp refuses %o %o", async (options, modelArgs, name) => {
  const kwargs = { w_transcribe_args: options, w_model_args: modelArgs };
  const error = await box.refusal({
    function: "transcribe",
    args: [path, "vo-test"],
    kwargs,
    ...whisperCpp(),
  });
  expect(error.code).toBe("OPTION_UNSUPPORTED");
  expect(error.message).toMatch(new RegExp(`whisper\\.cpp.*${name}`));
});

test("whisper-cli exits with 0 after an error: no output is a failure with its words", async () => {
  const call = whisperCpp({ TEST_WHISPER_CLI: "broken" });
  const error = await box.refusal({ function: "transcribe", args: [path, "vo-test"], ...call });
  expect(error).toEqual({ code: "ENGINE_FAILED", message: expect.stringContaining("unknown argument") });
});

test("an English-only whisper.cpp model is not asked for Japanese, and not trusted when it falls back", async () => {
  await writeFile(model, ggml(51_864));
  const call = { function: "transcribe", args: [path, "vo-test"], ...whisperCpp() } as const;
  const error = await box.refusal({ ...call, args: [...call.args], programs: NO_ENGINE });
  expect(error).toEqual({
    code: "LANGUAGE_UNSUPPORTED",
    message: expect.stringMatching(/'ja'.*whisper\.cpp \(model small\)/),
  });
  expect(await box.noted()).toEqual([]);

  await writeFile(model, ggml(51_865));
  const fell = whisperCpp({ TEST_WHISPER_CLI_LANGUAGE: "en" });
  const late = await box.refusal({ ...call, args: [...call.args], ...fell });
  expect(late.code).toBe("LANGUAGE_UNSUPPORTED");
});

test("the better engine is taken, the next when the language is not its own, and MIRUMOJI_ENGINE decides", async () => {
  const both = { ...whisperCpp(), python: "faster-whisper" };
  const forced = (name: string) => ({ ...both, env: { ...both.env, MIRUMOJI_ENGINE: name } });
  // Only the name of the module is there, so that the engine is found and cannot work.
  const broken = await box.refusal({ function: "transcribe", args: [path, "vo-test"], ...both });
  expect(broken.code).toBe("ENGINE_FAILED");
  expect(box.lines).toContain("engine faster-whisper, model large-v3-turbo, language ja");
  expect((await box.transcribe(path, {}, forced("whisper.cpp"))).engine).toBe("whisper.cpp");
  const english = { ...both, kwargs: { w_model_args: { model: "tiny.en" } } };
  await writeFile(model, ggml(51_865));
  // The `.en` model does not know Japanese and whisper.cpp has another model than the one asked for.
  const error = await box.refusal({ function: "transcribe", args: [path, "vo-test"], ...english });
  expect(error).toEqual({ code: "OPTION_UNSUPPORTED", message: expect.stringContaining("whisper.cpp") });

  const missing = { function: "transcribe" as const, args: [path, "vo-test"], ...forced("pocketsphinx") };
  expect((await box.refusal({ ...missing, programs: NO_ENGINE })).code).toBe("ENGINE_MISSING");
  const unknown = await box.refusal({ ...missing, ...forced("siri") });
  expect(unknown).toEqual({ code: "ENGINE_MISSING", message: expect.stringContaining("'siri'") });
});

test("PocketSphinx 5: words without marks and noise, grouped by pauses, sane capitals", async () => {
  const loud = await box.put(await box.clip("loud.wav", "-f", "lavfi", "-i", "sine=d=5"), "loud.wav");
  const found = { bin: "pocketsphinx-5", programs: NO_ENGINE };
  const transcript = await box.transcribe(loud, { language: "en" }, found);
  expect(transcript.engine).toBe("pocketsphinx");
  expect(await box.segments(transcript)).toEqual([
    expect.objectContaining({ start: 1.2, end: 2, text: "Good I I'm" }),
    {
      start: 4,
      end: 4.5,
      text: "Day",
      words: [{ start: 4, end: 4.5, text: "Day" }],
    },
  ]);
});

test("words become cues of at most 7 seconds and 84 characters", () => {
  const script = `
import json, mirumoji_gpu.segments as m
fast = [("word%02d" % i, i * 0.1, i * 0.1 + 0.1) for i in range(40)]
slow = [("w", i * 0.9, i * 0.9 + 0.8) for i in range(20)]
print(json.dumps([m.group_words(fast), m.group_words(slow)]))`;
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: "container" };
  const output = execFileSync("python3", ["-c", script], { encoding: "utf8", env });
  const [fast, slow] = JSON.parse(output) as { start: number; end: number; text: string }[][];
  expect(fast?.length).toBe(4);
  for (const cue of fast ?? []) expect(cue.text.length).toBeLessThanOrEqual(84);
  expect(fast?.map((cue) => cue.text.startsWith("W"))).toEqual([true, false, false, false]);
  expect(slow?.length).toBe(3);
  for (const cue of slow ?? []) expect(cue.end - cue.start).toBeLessThanOrEqual(7);
  const count = (cues: typeof fast) => (cues ?? []).flatMap((cue) => cue.text.split(" ")).length;
  expect([count(fast), count(slow)]).toEqual([40, 20]);
});

test("clean_audio takes away what is outside the voice's band", async () => {
  const both = "sine=f=60:r=44100,volume=6[hum];sine=f=1000:r=44100[tone];[hum][tone]amix=2:normalize=0";
  const input = await box.put(await box.clip("hum.wav", "-f", "lavfi", "-i", both, "-t", "4"), "hum.wav");
  const shares: number[] = [];
  for (const clean of [false, true]) {
    const kept = join(box.root, `kept-${clean}.wav`);
    await box.transcribe(input, { clean_audio: clean }, whisperCpp({ TEST_KEEP_AUDIO: kept }));
    expect(streamsOf(kept)).toEqual([
      expect.objectContaining({ codec_name: "pcm_s16le", sample_rate: "16000", channels: 1 }),
    ]);
    shares.push(lowShare(kept));
  }
  const [plain = 0, cleaned = 1] = shares;
  expect(plain, "the hum drowns the tone").toBeGreaterThan(0.9);
  expect(cleaned, "the tone is left").toBeLessThan(0.5);
});

/** How much of a file's level is below 150 Hz, 0 to 1. */
function lowShare(audio: string): number {
  const level = (filter: string) => {
    const run = spawnSync("ffmpeg", [
      "-hide_banner",
      "-i",
      audio,
      "-af",
      `${filter}volumedetect`,
      "-f",
      "null",
      "-",
    ]);
    return Number(/mean_volume: (-?[\d.]+) dB/.exec(run.stderr.toString())?.[1]);
  };
  return 10 ** ((level("lowpass=f=150,") - level("")) / 20);
}

test("models are fetched once into the folder that is kept, and a name or folder without one is told before", () => {
  const script = fileURLToPath(new URL("../helpers/handler/fixtures/model_cache.py", import.meta.url));
  const env = { PATH: process.env["PATH"], PYTHONPATH: "container", PYTHONDONTWRITEBYTECODE: "1" };
  expect(execFileSync("python3", [script], { encoding: "utf8", env })).toMatch(/ok\n$/u);
});
