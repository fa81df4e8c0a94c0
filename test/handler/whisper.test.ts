import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { pythonWithWhisper } from "../../support/python-whisper.ts";
import { type Sandbox, sandbox } from "../helpers/handler/handler.ts";

const whisper = await pythonWithWhisper();
const speech = (name: string) =>
  fileURLToPath(new URL(`../helpers/handler/fixtures/speech/${name}`, import.meta.url));

interface Sentence {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}
const truth = JSON.parse(await readFile(speech("speech.json"), "utf8")) as { cues: Sentence[] };

/** Real Whisper, base model, on a clip with tones, three sentences and noise. */
describe.skipIf("missing" in whisper)(`faster-whisper ${"missing" in whisper ? whisper.missing : ""}`, () => {
  let box: Sandbox;
  let path: string;
  const real =
    "missing" in whisper
      ? {}
      : {
          interpreter: whisper.python,
          kwargs: { w_model_args: { model: whisper.model, device: "cpu", compute_type: "int8" } },
        };

  beforeEach(async () => {
    box = await sandbox();
    path = await box.put(speech("speech.flac"), "speech.flac");
  });

  test("finds each sentence where it is spoken, with its words, and nothing in tones and noise", async () => {
    const transcript = await box.transcribe(path, { language: "auto" }, real);
    expect(transcript).toMatchObject({ engine: "faster-whisper", model: "model", language: "ja" });
    expect(transcript.languageProbability).toBeGreaterThan(0.8);
    expect(transcript.speechSeconds).toBeCloseTo(
      truth.cues.reduce((sum, { start, end }) => sum + end - start, 0),
      -0.5,
    );
    const segments = await box.segments(transcript);
    const nearest = (times: number[], wanted: number) => Math.min(...times.map((t) => Math.abs(t - wanted)));
    for (const { start, end } of truth.cues) {
      expect(
        nearest(
          segments.map((segment) => segment.start),
          start,
        ),
      ).toBeLessThan(0.2);
      expect(
        nearest(
          segments.map((segment) => segment.end),
          end,
        ),
      ).toBeLessThan(0.25);
    }
    for (const { start, end, text, words } of segments) {
      expect(truth.cues.some((cue) => cue.start < start + 0.2 && end < cue.end + 0.25)).toBe(true);
      expect(words?.map((word) => word.text).join("")).toBe(text.replaceAll(" ", ""));
      expect([words?.at(0)?.start, words?.at(-1)?.end]).toEqual([start, end]);
    }
    expect(segments[0]?.text).toMatch(/天気.*散歩/u);
  });

  test("decodes several stretches at once, or everything with the engine's own times, to the same words", async () => {
    const together = await box.transcribe(path, { batch_size: 4, vad_min_silence_ms: 200 }, real);
    const [whole, batch] = [await box.transcribe(path, { vad_filter: false }, real), together];
    for (const transcript of [batch, whole]) {
      const text = (await box.segments(transcript)).map((segment) => segment.text).join("");
      expect(text).toMatch(/天気.*駅.*ありがとう/u);
    }
  });

  test("translates into English", async () => {
    const transcript = await box.transcribe(path, { task: "translate" }, real);
    expect(transcript.language).toBe("ja");
    const segments = await box.segments({ ...transcript, language: "en" });
    expect(segments.map(({ text }) => text).join(" ")).toMatch(/today.*(?:good|day|weather|walk|park)/iu);
  });

  test("loads no model where nobody speaks, and refuses what it cannot be sure of or does not have", async () => {
    const noise = await box.put(
      await box.clip("n.wav", "-f", "lavfi", "-i", "anoisesrc=a=0.02:d=5:r=16000:s=1"),
      "n.wav",
    );
    const silent = await box.transcribe(noise, {}, real);
    expect(silent).toMatchObject({ warnings: ["no speech was found"], speechSeconds: 0 });
    expect(box.lines.join("\n")).not.toContain("loading the model");
    const call = { function: "transcribe" as const, args: [path, "vo-test"], ...real };
    const missing = { w_model_args: { model: `${box.root}/nowhere` } };
    expect((await box.refusal({ ...call, kwargs: missing })).code).toBe("MODEL_MISSING");
    const sure = { ...real.kwargs, w_transcribe_args: { language: "auto", language_confidence: 1 } };
    expect((await box.refusal({ ...call, kwargs: sure })).code).toBe("LANGUAGE_UNCERTAIN");
  });

  test("alignment, clips and ghosts hold for any speech", () => {
    const script = fileURLToPath(new URL("../helpers/handler/fixtures/speech_rules.py", import.meta.url));
    const python = "missing" in whisper ? "python3" : whisper.python;
    const env = { PYTHONPATH: "container", PYTHONDONTWRITEBYTECODE: "1" };
    expect(execFileSync(python, [script], { encoding: "utf8", env })).toBe("ok\n");
  });
});
