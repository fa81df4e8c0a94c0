import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Browser, browserPath, openBrowser } from "../helpers/http/browser.ts";
import { type DevServices, expectNothingLeft, SAMPLE, startDev } from "../../support/dev.ts";

const run = promisify(execFile);
const login = { username: "ann", password: "a-good-password" };

if (browserPath === null) {
  process.stderr.write("board.test.ts is skipped: Chromium is not installed (apt-get install chromium)\n");
}

describe.skipIf(browserPath === null)("in a browser", () => {
  let dev: DevServices;
  let browser: Browser;
  const ids = { done: "", failed: "", running: "", waiting: "", cancelled: "" };

  beforeAll(async () => {
    dev = await startDev({
      BOARD_USERS: `${login.username}:${login.password}`,
      BOARD_WRITE: "1",
      MIRUMOJI_CONVERT_CONCURRENCY: "1",
    });
    await dev.put("films/hello there.mp4");
    await dev.put("films/not a film.mp4", "just text");
    // Long enough to be looked at while it is converted.
    await run("ffmpeg", [
      "-v",
      "error",
      "-stream_loop",
      "60",
      "-i",
      SAMPLE,
      "-c",
      "copy",
      join(dev.ready.mediaRoot, "films/long.mp4"),
    ]);
    const submit = async (type: "transcribe" | "convert", input: string, options = {}) =>
      (await dev.client.submit(type, { input, ...options })).id;
    ids.failed = await submit("convert", "films/not a film.mp4");
    await dev.client.wait(ids.failed);
    ids.done = await submit("transcribe", "films/hello there.mp4", {
      language: "en",
      formats: ["srt", "txt"],
    });
    await dev.client.wait(ids.done);
    ids.running = await submit("convert", "films/long.mp4", { preset: "quality" });
    await vi.waitFor(async () => expect((await dev.client.get(ids.running)).state).toBe("call"), {
      timeout: 60_000,
      interval: 100,
    });
    ids.waiting = await submit("convert", "films/hello there.mp4");
    ids.cancelled = await submit("convert", "films/hello there.mp4", { output: "films/other.mp4" });
    await dev.client.cancel(ids.cancelled);
    browser = await openBrowser(login);
  }, 120_000);

  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await dev?.[Symbol.asyncDispose]();
  });

  it("the board shows both queues and their jobs by name and state", async () => {
    const { page } = browser;
    await page.goto(dev.ready.boardUrl);
    await page.getByText("transcribe").first().waitFor();
    await page.getByText("convert").first().waitFor();
    await page.waitForLoadState("networkidle");
    await browser.screenshot("board-overview");
    await page.goto(`${dev.ready.boardUrl}/queue/convert`);
    await page.getByText("not a film.mp4 · failed").first().waitFor();
    await page.getByText("long.mp4 · call").first().waitFor();
    // The board paints errors a moment later, in a thread of its own.
    await page.getByText("INPUT_NOT_MEDIA").first().waitFor();
    await browser.screenshot("board-jobs");
  });

  it("a job on the board has its progress by state and its timeline", async () => {
    const { page } = browser;
    await page.goto(`${dev.ready.boardUrl}/queue/transcribe/${ids.done}`);
    await page.getByText("hello there.mp4 · completed").first().waitFor();
    await page.getByText("Progress", { exact: true }).first().click();
    await page.getByText("createVolume").first().waitFor();
    await browser.screenshot("board-job-progress");
    await page.getByText("Logs", { exact: true }).first().click();
    await page.getByText("upload -> call").first().waitFor();
    await browser.screenshot("board-job-timeline");
    await page.getByText("Job page").first().waitFor();
  });

  it("a job's page shows its states, timeline and outputs, which can be read", async () => {
    const { page } = browser;
    await page.goto(`${dev.ready.apiUrl}/jobs/${ids.done}`);
    await page.getByRole("heading", { name: /hello there\.mp4/u }).waitFor();
    await page.getByText("upload -> call").waitFor();
    await browser.screenshot("job-completed");
    const link = page.getByRole("link", { name: "films/hello there.srt" });
    const url = new URL((await link.getAttribute("href")) ?? "", dev.ready.apiUrl);
    const answer = await page.request.get(url.href);
    expect(await answer.text()).toBe(
      await readFile(join(dev.ready.mediaRoot, "films/hello there.srt"), "utf8"),
    );
    await page.goto(`${dev.ready.apiUrl}/jobs/${ids.failed}`);
    await page.getByText("INPUT_").first().waitFor();
    await browser.screenshot("job-failed");
  });

  it("the cancel button stops the call and deletes the volume", async () => {
    const { page } = browser;
    await page.goto(`${dev.ready.apiUrl}/jobs/${ids.running}`);
    await page.getByRole("heading", { name: "Checkpoint" }).waitFor();
    await browser.screenshot("job-running");
    await page.getByRole("button", { name: "Cancel this job" }).click();
    await page.locator(".status.cancelled").waitFor({ timeout: 30_000 });
    await browser.screenshot("job-cancelled");
    expect(await dev.client.get(ids.running)).toMatchObject({ status: "cancelled" });
    const { calls } = await dev.stats();
    expect(calls.list.filter(({ path }) => path.startsWith(ids.running))).toMatchObject([
      { status: "cancelled" },
    ]);
  });

  it("the board's retry gives a job another life, which ends well", async () => {
    const { page } = browser;
    await page.goto(`${dev.ready.boardUrl}/queue/convert/${ids.cancelled}`);
    await page.getByText("hello there.mp4 · cancelled").first().waitFor();
    // The board's buttons have no names: retry is the first of the four above the tabs.
    await page.locator('xpath=(//button[@role="tab"])[1]/preceding::button[4]').click();
    await page.getByRole("button", { name: "Confirm" }).click();
    await expect
      .poll(async () => (await dev.client.get(ids.cancelled)).status, { timeout: 10_000 })
      .not.toBe("cancelled");
    expect(await dev.client.wait(ids.cancelled)).toMatchObject({ status: "completed" });
    expect(await dev.client.wait(ids.waiting)).toMatchObject({ status: "completed" });
  });

  it("nothing on the pages complains, and nothing is left behind", async () => {
    // The board's page names a font server on the web; it is not asked.
    expect(browser.complaints.filter((text) => !text.includes("fonts.googleapis.com"))).toEqual([]);
    await expectNothingLeft(dev);
  });
});
