import { describe, expect, it } from "vitest";
import { REQUEST_SCHEMAS, type TranscribeOptions } from "../../src/job/contract.ts";
import { type ErrorCode, MirumojiError } from "../../src/job/errors.ts";
import type { FactsAt, FilmPart, Gained } from "../../src/job/facts.ts";
import type { PartOutput } from "../../src/ports/part-calls.ts";
import { call } from "../../src/steps/call.ts";
import { instantTools } from "../../support/instant-tools.ts";

/** Behaviour of the function: the result for the try of a part, or the failure. */
type Answer = (part: {
  number: number;
  language: string;
  confidence: unknown;
  tries: number;
}) => object | ErrorCode;

interface Put {
  readonly number: number;
  readonly callId: string;
}

/** Runs the step until it has a result, as the runner does, with a server that answers one input at a time. */
async function transcribe(answer: Answer, options: Partial<TranscribeOptions> = {}) {
  const put: Put[] = [];
  const tries = new Map<number, number>();
  let waiting: PartOutput[] = [];
  let most = 0;
  let facts: FactsAt["call"] = {
    volumeId: "vo-1",
    remotePath: "j1/audio.flac",
    inputBytes: 1,
    sentBytes: 1,
    audioOnly: true,
    parallel: { asked: 2, containers: 2, parts: 3 },
    parts: [0, 1, 2].map((number): FilmPart => ({
      start: number * 300,
      end: (number + 1) * 300,
      failures: 0,
    })),
  };
  const own = instantTools();
  const tools = {
    ...own,
    partCalls: {
      ...own.partCalls,
      open: async () => await Promise.resolve({ callId: `fc-${(most += 1)}`, started: false }),
      start: async ({ callId, inputs }: Parameters<typeof own.partCalls.start>[0]) => {
        await Promise.resolve();
        for (const { idx, input } of inputs) {
          const {
            part,
            language = "",
            language_confidence: confidence,
          } = input.kwargs["w_transcribe_args"] as {
            part: { number: number };
            language?: string;
            language_confidence?: number;
          };
          const { number } = part;
          tries.set(number, (tries.get(number) ?? 0) + 1);
          put.push({ number, callId });
          const made = answer({ number, language, confidence, tries: tries.get(number) ?? 0 });
          const end = typeof made === "string" ? { error: new MirumojiError(made, "no") } : { value: made };
          waiting.push({ idx, end, runSeconds: 10 });
        }
      },
      poll: async () => {
        await Promise.resolve();
        const [first, ...rest] = waiting;
        waiting = rest;
        const outputs = first === undefined ? [] : [first];
        return { outputs, cursor: String(put.length), unfinished: rest.length, inputs: null };
      },
    },
  };
  const request = REQUEST_SCHEMAS.transcribe.parse({ v: 1, input: "film.mkv", parallel: 2, ...options });
  for (;;) {
    const gained: Gained<"call"> | "pending" = await call(
      {
        id: "j1",
        request: { type: "transcribe", request },
        facts,
        enteredAt: Date.now(),
        signal: new AbortController().signal,
        report: () => {},
        warn: () => {},
        save: async (saved) => {
          facts = { ...facts, ...saved } as FactsAt["call"];
          await Promise.resolve();
        },
        reserve: async () => await Promise.resolve(),
        speed: async () => await Promise.resolve(null),
      },
      tools,
    );
    if (gained !== "pending") return { ...gained, put, facts };
  }
}

const heard = (number: number, more: object = {}) => ({
  v: 1,
  ok: true,
  path: `out/${number}`,
  engine: "e",
  language: "en",
  mediaSeconds: 300,
  speechSeconds: 100,
  gpuSeconds: 8,
  warnings: [],
  ...more,
});

describe("the parts of a film", () => {
  it("are put as containers get free, into one call, and add up", async () => {
    const { result, put, runSeconds } = await transcribe(({ number }) => heard(number));
    expect(put).toEqual([0, 1, 2].map((number) => ({ number, callId: "fc-1" })));
    expect(runSeconds).toBe(30);
    expect(result).toMatchObject({ inParts: true, mediaSeconds: 900, speechSeconds: 300, gpuSeconds: 24 });
  });

  it("that the platform lost are called again, and no others", async () => {
    const { put } = await transcribe(({ number, tries }) =>
      number === 1 && tries < 3 ? "PLATFORM_FAILED" : heard(number),
    );
    expect(put.map(({ number, callId }) => `${number} ${callId}`)).toEqual([
      "0 fc-1",
      "1 fc-1",
      "2 fc-1",
      "1 fc-2",
      "1 fc-3",
    ]);
  });

  it.each(["FUNCTION_FAILED", "FUNCTION_TIMED_OUT", "FUNCTION_OUT_OF_MEMORY"] as const)(
    "that end with %s get a second try",
    async (code) => {
      const { put } = await transcribe(({ number, tries }) =>
        number === 2 && tries === 1 ? code : heard(number),
      );
      expect(put.filter(({ number }) => number === 2)).toHaveLength(2);
      await expect(transcribe(({ number }) => (number === 2 ? code : heard(number)))).rejects.toMatchObject({
        code,
      });
    },
  );

  it("of a handler that hears all of the film each time are refused", async () => {
    await expect(transcribe(({ number }) => heard(number, { mediaSeconds: 900 }))).rejects.toMatchObject({
      code: "FUNCTION_RESULT_INVALID",
    });
  });

  it("are without a warning when only some are silent", async () => {
    const silent = { warnings: ["no speech was found"], speechSeconds: 0 };
    const some = await transcribe(({ number }) => heard(number, number === 1 ? silent : {}));
    expect(some.result.warnings).toEqual([]);
    const all = await transcribe(({ number }) => heard(number, silent));
    expect(all.result.warnings).toEqual(silent.warnings);
  });
});

describe("the language of a film in parts", () => {
  const voice = (language: string, languageProbability: number, speechSeconds: number) => ({
    language,
    languageProbability,
    speechSeconds,
  });

  it("is the one of most of the speech, in which the others are made again", async () => {
    const { result, put } = await transcribe(
      ({ number, language }) =>
        heard(
          number,
          language === "ja" ? { language } : number === 1 ? voice("en", 0.6, 20) : voice("ja", 0.9, 200),
        ),
      { language: "auto" },
    );
    expect(put.map(({ number }) => number)).toEqual([0, 1, 2, 1]);
    expect(result).toMatchObject({ language: "ja" });
    expect(result.languageProbability).toBeCloseTo(0.9, 2);
  });

  it("has to be as sure as was asked for, in all of the film", async () => {
    const unsure = transcribe(
      ({ number, confidence }) => heard(number, { ...voice("ja", 0.4, 100), confidence }),
      {
        language: "auto",
      },
    );
    await expect(unsure).rejects.toMatchObject({ code: "LANGUAGE_UNCERTAIN" });
    const enough = { language: "auto", language_confidence: 0.3 };
    const { result } = await transcribe(({ number }) => heard(number, voice("ja", 0.4, 100)), enough);
    expect(result).toMatchObject({ language: "ja", languageProbability: 0.4 });
  });
});
