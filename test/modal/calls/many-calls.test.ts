import { expect, test } from "vitest";
import { measureCalls } from "../../../bench/calls.ts";

test("one process awaits hundreds of calls at once, at next to no cost", { timeout: 120_000 }, async () => {
  const measured = await measureCalls(200, 3_000);
  process.stderr.write(`${JSON.stringify(measured)}\n`);
  expect(measured).toMatchObject({
    calls: 200,
    longPollsInFlight: 200,
    resultsAwaited: 20,
    resultsRight: 20,
  });
  // A long poll lasts 55 s: within three seconds nothing is asked twice.
  expect(measured.longPollsPerSecond).toBe(0);
  expect(measured.cpuSecondsPerSecond).toBeLessThan(0.5);
  expect(measured.residentKiBPerCall).toBeLessThan(1024);
});
