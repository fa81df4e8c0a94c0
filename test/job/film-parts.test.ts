import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { containersWorth, PART_RULES, pausesIn, planParts } from "../../src/job/film-parts.ts";

const HOP = 0.05;

/** Levels of speech with pauses here and there: `[seconds of speech, seconds of silence]`. */
function levelsOf(turns: readonly (readonly [number, number])[]) {
  const db = turns.flatMap(([speech, silence]) => [
    ...Array.from({ length: Math.round(speech / HOP) }, (_, hop) => -18 - (hop % 5)),
    ...Array.from({ length: Math.round(silence / HOP) }, () => -62),
  ]);
  return { levels: { hopSeconds: HOP, db }, seconds: Math.round(db.length * HOP * 1000) / 1000 };
}

const turns = fc.array(
  fc.tuple(fc.double({ min: 1, max: 200, noNaN: true }), fc.double({ min: 0, max: 3, noNaN: true })),
  {
    minLength: 1,
    maxLength: 60,
  },
);

describe("the parts of a film", () => {
  it("cover all of it, in order, within their bounds, and are cut in silence where there is any", () => {
    fc.assert(
      fc.property(turns, fc.integer({ min: 1, max: 20 }), (speech, containers) => {
        const { levels, seconds } = levelsOf(speech);
        const parts = planParts(levels, { seconds, containers });
        const { leastSeconds, mostSeconds, overlapSeconds, pauseSeconds } = PART_RULES;
        expect(parts[0]?.start).toBe(0);
        expect(parts.at(-1)?.end).toBe(seconds);
        const cuts = parts.slice(1).map(({ start }, index) => (start + (parts[index]?.end ?? 0)) / 2);
        const bounds = [0, ...cuts, seconds];
        for (const [index, { start, end }] of parts.entries()) {
          const [from = 0, to = 0] = bounds.slice(index, index + 2);
          expect(start).toBeLessThanOrEqual(from + 1e-6);
          expect(end).toBeGreaterThanOrEqual(to - 1e-6);
          if (parts.length > 1) expect(to - from).toBeGreaterThanOrEqual(leastSeconds - 0.01);
          if (parts.length > 1) expect(to - from).toBeLessThanOrEqual(mostSeconds + 0.01);
        }
        for (const [index, cut] of cuts.entries()) {
          const [before, after] = parts.slice(index, index + 2);
          const shared = (before?.end ?? 0) - (after?.start ?? 0);
          const around = { start: cut - pauseSeconds / 2, end: cut + pauseSeconds / 2 };
          const heard = levels.db.slice(Math.ceil(around.start / HOP), Math.floor(around.end / HOP));
          if (shared === 0) expect(Math.max(...heard)).toBeLessThan(-60);
          else expect(shared).toBeCloseTo(2 * overlapSeconds, 2);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("are cut at the pause that is there, however far from the goal, and overlap where there is none", () => {
    const { levels, seconds } = levelsOf([
      [200, 0.8],
      [500, 0],
    ]);
    const [first, second] = planParts(levels, { seconds, containers: 2 });
    expect(first?.end).toBe(second?.start);
    expect(first?.end).toBeGreaterThan(200);
    expect(first?.end).toBeLessThan(200.8);
    const music = levelsOf([[740, 0]]);
    const [one, other] = planParts(music.levels, { seconds: music.seconds, containers: 2 });
    expect((one?.end ?? 0) - (other?.start ?? 0)).toBeCloseTo(12, 3);
  });

  it("are as many for each container as for the others", () => {
    const { levels, seconds } = levelsOf(Array.from({ length: 1440 }, () => [4, 1] as const));
    expect(seconds).toBe(7200);
    const count = (containers: number) => planParts(levels, { seconds, containers }).length;
    expect([1, 3, 10, 20, 64].map((containers) => [containers, count(containers)])).toEqual([
      [1, 24],
      [3, 24],
      [10, 20],
      [20, 20],
      [64, 60],
    ]);
  });

  it("are none of a sound that is shorter than two of them", () => {
    const { levels, seconds } = levelsOf([
      [100, 1],
      [100, 1],
    ]);
    expect(planParts(levels, { seconds, containers: 8 })).toEqual([{ start: 0, end: seconds }]);
  });
});

it("hears pauses of loud and quiet recordings by their own loudness", () => {
  const window = { start: 0, end: 10 };
  const at = (speech: number, silence: number) => {
    const db = Array.from({ length: 200 }, (_, hop) => (hop >= 100 && hop < 120 ? silence : speech));
    return pausesIn({ hopSeconds: HOP, db }, window, 0.5);
  };
  expect(at(-15, -60)).toEqual([{ start: 5, end: 6 }]);
  expect(at(-45, -75)).toEqual([{ start: 5, end: 6 }]);
  expect(at(-15, -35)).toEqual([{ start: 5, end: 6 }]);
  expect(at(-15, -22)).toEqual([]);
});

describe("the containers of a film", () => {
  const worth = (asked: number, seconds: number, speed = 0.1, startSeconds = 20) =>
    containersWorth({ asked, seconds, speed, startSeconds });

  it("are as many as were asked for when each has more work than its start takes", () => {
    expect(worth(10, 7200)).toEqual({ containers: 10, why: null });
  });

  it("are fewer for a short film, with the reason", () => {
    expect(worth(10, 1200)).toEqual({
      containers: 6,
      why: "about 120 s of work, and each container takes 20 s to start",
    });
    expect(worth(10, 1200, 0.5)).toEqual({ containers: 10, why: null });
    expect(worth(10, 300, 0.5)).toEqual({
      containers: 2,
      why: "300 s of sound, and a part has at least 120 s",
    });
    expect(worth(10, 200)).toEqual({ containers: 1, why: "200 s of sound are less than two parts" });
    expect(worth(10, 300, 0.01).containers).toBe(1);
    expect(worth(3, 720, 0.001, 0)).toEqual({ containers: 3, why: null });
  });
});
