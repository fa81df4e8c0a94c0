import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GIVE_UP_MS, nextTryMs, shownUrl, webhookSchema } from "../../src/job/webhooks.ts";

describe("the tries of a webhook", () => {
  it("become rarer over a day, and end with it", () => {
    const tries: number[] = [];
    for (let ageMs = 0, next: number | null = 0; next !== null;) {
      ageMs += next;
      tries.push(ageMs);
      next = nextTryMs(tries.length, { ageMs, random: 0.5 });
    }
    expect(tries.map((ms) => Math.round(ms / 60_000))).toEqual([
      0, 0, 0, 1, 3, 10, 30, 91, 273, 513, 753, 993, 1233,
    ]);
  });

  it("are spread by a fifth, wait as long as the receiver asks, and never pass the day", () => {
    const nat = fc.integer({ min: 0, max: GIVE_UP_MS });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        nat,
        fc.double({ min: 0, max: 1, noNaN: true }),
        nat,
        (...[tries, ageMs, random, askedMs]) => {
          const next = nextTryMs(tries, { ageMs, random, askedMs });
          if (next === null) return;
          const wait = Math.min(4 * 3_600_000, 5000 * 3 ** (tries - 1));
          expect(next).toBeGreaterThanOrEqual(
            Math.floor(Math.max(0.8 * wait, Math.min(askedMs, 4 * 3_600_000))),
          );
          expect(next).toBeLessThanOrEqual(Math.ceil(Math.max(1.2 * wait, askedMs)));
          expect(ageMs + next).toBeLessThanOrEqual(GIVE_UP_MS + 1);
        },
      ),
    );
  });
});

describe("a webhook", () => {
  it.each(["a.test/x", "ftp://a.test/", "javascript:alert(1)", "https://a.test/a b", ""])(
    "has no URL like %j",
    (url) => {
      expect(webhookSchema.safeParse({ url }).success).toBe(false);
    },
  );

  it("shows its host only", () => {
    expect(shownUrl("https://hooks.test:8443/T0P/SECRET?x=1")).toBe("https://hooks.test:8443/…");
  });
});
