import { expect, it, vi } from "vitest";
import { openClock } from "../../src/queue/redis-clock.ts";

const HOUR_MS = 3_600_000;

it("gives Redis' time, whatever this machine's clock says, and asks once", async () => {
  let asked = 0;
  const clock = openClock(async () => {
    asked += 1;
    return await Promise.resolve(1_000_000);
  });
  await Promise.all([clock.ready(), clock.ready()]);
  expect(Math.abs(clock.now() - 1_000_000)).toBeLessThan(500);
  expect(asked).toBe(1);
});

it("goes on by the steady clock when this machine's clock is set, and asks anew", async () => {
  const redisNow = () => performance.now() + 5 * HOUR_MS;
  let asked = 0;
  const clock = openClock(async () => {
    asked += 1;
    return await Promise.resolve(redisNow());
  });
  await clock.ready();
  const set = Date.now() + 9 * HOUR_MS;
  const spy = vi.spyOn(Date, "now").mockReturnValue(set);
  expect(Math.abs(clock.now() - redisNow())).toBeLessThan(500);
  await expect.poll(() => asked).toBeGreaterThan(1);
  expect(Math.abs(clock.now() - redisNow())).toBeLessThan(500);
  spy.mockRestore();
});

it("is this machine's clock until Redis has answered, and keeps its last answer while Redis is away", async () => {
  let isAway = true;
  const clock = openClock(async () => {
    await Promise.resolve();
    if (isAway) throw new Error("away");
    return 42;
  });
  expect(Math.abs(clock.now() - Date.now())).toBeLessThan(500);
  await expect(clock.ready()).rejects.toThrow("away");
  isAway = false;
  await clock.ready();
  isAway = true;
  expect(clock.now()).toBeLessThan(5000);
});
