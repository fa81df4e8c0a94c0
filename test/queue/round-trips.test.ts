import { expect, it } from "vitest";
import { measureRoundTrips } from "../../bench/round-trips.ts";

it("a job waits for at most six Redis commands on a busy worker", async () => {
  const { waitedFor } = await measureRoundTrips(50);
  expect(waitedFor).toBeLessThanOrEqual(6.2);
  // Fewer would mean that a checkpoint is missing.
  expect(waitedFor).toBeGreaterThanOrEqual(5.9);
});
