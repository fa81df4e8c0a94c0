import { afterAll, beforeAll, expect, test } from "vitest";
import { type DevServices, expectNothingLeft, startDev } from "../../support/dev.ts";

let dev: DevServices;
beforeAll(async () => {
  dev = await startDev();
});
afterAll(async () => {
  await dev[Symbol.asyncDispose]();
});

/** The functions that were called for a job, and its receipt. */
async function convertedWith(wish: object) {
  await dev.put("film.mp4");
  const output = `${Object.values(wish).join("-")}.mp4`;
  const { id } = await dev.client.submit("convert", { input: "film.mp4", output, copy: true, ...wish });
  const { status, report, receipt } = await dev.client.wait(id, { pollMs: 50 });
  const { calls } = await dev.stats();
  const functions = calls.list.filter(({ path }) => path === `${id}/film.mp4`).map((call) => call.function);
  return { status, functions, engine: report?.engine, warnings: report?.warnings, paid: receipt?.calls };
}

test("a film that fits is copied by a function without a GPU", async () => {
  const ended = await convertedWith({ resolution: "1280x720" });
  expect(ended).toMatchObject({ status: "completed", functions: ["remux"], engine: "copy", warnings: [] });
  expect(ended.paid).toMatchObject([{ outcome: "succeeded", gpu: "none", usd: 0 }]);
});

test("one that does not fit goes on to the function that encodes, with the reason", async () => {
  const ended = await convertedWith({ resolution: "64x64", preset: "performance" });
  expect(ended).toMatchObject({
    status: "completed",
    functions: ["remux", "convert"],
    engine: "libx264",
    warnings: ["encoded, not copied: 640x360 is larger than 64x64", "no NVENC, used libx264"],
  });
  expect(ended.paid).toMatchObject([
    { outcome: "succeeded", gpu: "none" },
    { outcome: "succeeded", gpu: "own" },
  ]);
  await expectNothingLeft(dev);
});
