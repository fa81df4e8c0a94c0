import { describe, expect, it } from "vitest";
import { decodeCheckpoint, encodeCheckpoint, firstCheckpoint } from "../../src/job/checkpoint.ts";
import { MirumojiError } from "../../src/job/errors.ts";
import { factsFor, missingFact, type StoredFacts } from "../../src/job/facts.ts";
import { PATH } from "../../src/job/machine.ts";

/** Every fact that was ever stored, by the state whose step earns it; those of `sure` must be there to leave it. */
const EARNED = {
  createVolume: { sure: { volumeId: "vo-1" }, maybe: {} },
  upload: {
    sure: { remotePath: "j1/film.mkv", inputBytes: 100, sentBytes: 90 },
    maybe: {
      audioOnly: true,
      inputWarnings: ["a gap"],
      inputSeconds: 2,
      audioSha256: "ab",
      parallel: { asked: 3, containers: 2, parts: 2, why: "short" },
      parts: [{ start: 0, end: 150, failures: 1 }],
    },
  },
  call: {
    sure: {
      result: { path: "o", engine: "e", mediaSeconds: 2, gpuSeconds: 1, warnings: [] },
    },
    maybe: { callId: "fc-1", callOpenedAt: 7, runSeconds: 1, appId: "ap-1", imageFunction: "m:f" },
  },
  download: {
    sure: { outputs: [{ path: "film.mp4", format: "mp4", bytes: 5, sha256: "0".repeat(64) }] },
    maybe: {},
  },
  deleteVolume: { sure: {}, maybe: {} },
} satisfies Record<(typeof PATH)[number], { sure: StoredFacts; maybe: StoredFacts }>;

/** The facts of the states before `PATH[index]`. */
const before = (index: number): StoredFacts =>
  Object.assign({}, ...PATH.slice(0, index).flatMap((state) => [EARNED[state].sure, EARNED[state].maybe]));
const ALL = before(PATH.length);

describe("the facts of a job", () => {
  it("are all stored and read again", () => {
    const checkpoint = { ...firstCheckpoint(1, 0), state: "deleteVolume" as const, facts: ALL };
    expect(decodeCheckpoint(encodeCheckpoint(checkpoint))).toEqual(checkpoint);
  });

  it("are of version 2 where workers of version 1 would take them for something else", () => {
    const versionOf = (facts: StoredFacts) => {
      const stored = encodeCheckpoint({ ...firstCheckpoint(1, 0), state: "download", facts });
      expect(decodeCheckpoint(stored).facts).toEqual(facts);
      return (JSON.parse(stored) as { v: number }).v;
    };
    const facts = before(PATH.indexOf("download"));
    expect(versionOf(facts)).toBe(1);
    expect(versionOf({ ...facts, partInputs: [{ part: 0, sentAt: 1, seconds: 2 }], partCursor: "1-0" })).toBe(
      2,
    );
    const cached = { packedTranscript: "", cachedFrom: "j0", engine: "e", mediaSeconds: 1, gpuSeconds: 0 };
    expect(versionOf({ ...facts, result: { ...cached, warnings: [] } })).toBe(2);
  });

  it.each([...PATH.entries()])("%i: going back to %s keeps those earned before it", (index, state) => {
    expect(factsFor(state, ALL)).toEqual(before(index));
    expect(factsFor(state, {})).toEqual({});
  });

  it.each([...PATH.entries()])("%i: nobody is in %s without the sure ones from before it", (index, state) => {
    expect(missingFact(state, before(index))).toBeNull();
    for (const [at, passed] of PATH.slice(0, index).entries()) {
      for (const name of Object.keys(EARNED[passed].sure)) {
        const facts = { ...ALL, [name]: undefined };
        expect(missingFact(state, facts)).toBe(name);
        const stored = encodeCheckpoint({ ...firstCheckpoint(1, 0), state, facts });
        expect(() => decodeCheckpoint(stored)).toThrow(MirumojiError);
      }
      for (const name of Object.keys(EARNED[passed].maybe)) {
        expect(missingFact(state, { ...ALL, [name]: undefined }), `${at} ${name}`).toBeNull();
      }
    }
  });
});
