import axe from "axe-core";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CDPSession } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, browserPath, openBrowser } from "../helpers/http/browser.ts";
import { type DevServices, expectNothingLeft, SAMPLE, startDev } from "../../support/dev.ts";

const HOSTILE = `<img src=x onerror="document.title='owned'">.mp4`;

if (browserPath === null) {
  process.stderr.write("page.test.ts is skipped: Chromium is not installed (apt-get install chromium)\n");
}

describe.skipIf(browserPath === null)("the page for people", () => {
  let dev: DevServices;
  let browser: Browser;
  let debug: CDPSession;

  beforeAll(async () => {
    dev = await startDev({ MIRUMOJI_HTTP_PREFIX: "/tools/mirumoji", MIRUMOJI_MAX_RESUMABLE: "4" });
    browser = await openBrowser();
    debug = await browser.page.context().newCDPSession(browser.page);
  }, 120_000);

  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await dev?.[Symbol.asyncDispose]();
  });

  /** Takes a picture, and lets axe judge the page; it comes by the debugger, past the page's own policy. */
  async function look(name: string): Promise<void> {
    await browser.screenshot(`page-${name}`);
    await debug.send("Runtime.evaluate", { expression: axe.source });
    const { result } = await debug.send("Runtime.evaluate", {
      expression:
        "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]))",
      awaitPromise: true,
      returnByValue: true,
    });
    expect(result.value, `axe on ${name}`).toEqual([]);
    const width = await browser.page.evaluate("document.documentElement.scrollWidth - innerWidth");
    expect(width, `${name} is wider than the window`).toBeLessThanOrEqual(0);
  }

  const open = async (hash = "") => await browser.page.goto(`${dev.ready.apiUrl}/app${hash}`);
  const lines = () => browser.page.locator(".lines button");

  it("asks for a key, and says what is wrong with one", async () => {
    const { page } = browser;
    await page.goto(`${dev.ready.apiUrl}/`);
    await page.getByLabel("API key").waitFor();
    expect(page.url()).toBe(dev.ready.pageUrl);
    await page.keyboard.press("Enter");
    await page.getByText("Paste your API key here first").waitFor();
    await page.keyboard.type("mk_wrong");
    await page.keyboard.press("Enter");
    await page.getByText("This key is unknown or revoked").waitFor();
    await look("key");
    await page.keyboard.type(dev.ready.apiKey);
    await page.keyboard.press("Enter");
    await page.getByText("No jobs yet").waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await look("empty");
    const kept = (await page.evaluate(
      "JSON.stringify([localStorage, document.cookie, location.href])",
    )) as string;
    expect(kept).not.toContain("mk_");
  });

  it("a film dropped on it is uploaded and transcribed, and read beside the player", async () => {
    const { page } = browser;
    const film = (await readFile(SAMPLE)).toString("base64");
    // A real drop of a real file: what a hand does, as far as a page can tell.
    await page.evaluate(
      `(async () => {
        const bytes = Uint8Array.from(atob(${JSON.stringify(film)}), (c) => c.charCodeAt(0));
        const files = new DataTransfer();
        files.items.add(new File([bytes], ${JSON.stringify(HOSTILE)}, { type: "video/mp4" }));
        document.querySelector(".drop").dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
      })()`,
    );
    await page.getByText(HOSTILE, { exact: true }).waitFor();
    await page.getByLabel("Spoken language").selectOption("en");
    await page.getByLabel("Spoken language").press("Tab");
    await page.getByRole("button", { name: /^Transcribe/u }).press("Enter");
    await page.locator(".status.running").waitFor();
    await look("running");
    await page.locator(".job a").press("Enter");
    // The end comes by the stream: nothing is reloaded.
    await lines().first().waitFor();
    expect(await lines().allTextContents()).toHaveLength(4);
    await expect
      .poll(async () => await page.evaluate("document.querySelector('video').readyState >= 1"))
      .toBe(true);
    await lines().first().focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await expect
      .poll(
        async () =>
          await page.evaluate("document.querySelector('video').textTracks[0].activeCues?.length === 1"),
      )
      .toBe(true);
    expect(await page.locator(".lines [aria-current]").textContent()).toMatch(/today we talk/iu);
    expect(
      await page.evaluate(
        "document.querySelector('video').textTracks[0].activeCues[0].text.replace('\\n', ' ')",
      ),
    ).toMatch(/^today we talk about the weather/iu);
    await expect.poll(async () => await page.evaluate("!document.querySelector('video').seeking")).toBe(true);
    await look("finished");
    const played = await page.evaluate(
      "(async () => { const v = document.querySelector('video'); v.muted = true; await v.play(); v.pause(); return v.videoWidth; })()",
    );
    expect(played).toBe(640);
  });

  it("gives every format away", async () => {
    const { page } = browser;
    const links = page.locator(".downloads a");
    expect(await links.locator("b").allTextContents()).toEqual([
      "SRT",
      "VTT",
      "ASS",
      "TXT",
      "LRC",
      "TSV",
      "JSON",
    ]);
    const [download] = await Promise.all([page.waitForEvent("download"), links.first().click()]);
    expect(download.suggestedFilename()).toMatch(/^img_src_x.*\.srt$/u);
    expect(await readFile(await download.path(), "utf8")).toMatch(/^1\n00:00:0/u);
  });

  it("an upload that was broken off goes on, and a job that failed says what to do", async () => {
    const { page } = browser;
    await open("/");
    const junk = join(dev.folder, "not a film.mp4");
    await writeFile(junk, randomBytes(2_000_000));
    const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 800_000 };
    await debug.send("Network.enable");
    await debug.send("Network.emulateNetworkConditions", slow);
    const choose = async () => {
      await page.locator("#files").setInputFiles(junk);
      await page.getByRole("button", { name: /^Transcribe not/u }).click();
    };
    await choose();
    await page.getByText(/[1-9]\d\d kB of 2\.0 MB/u).waitFor();
    await look("uploading");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused").waitFor();
    await page.reload();
    await choose();
    await page.getByText("went on where it stopped").waitFor();
    await debug.send("Network.emulateNetworkConditions", { ...slow, uploadThroughput: -1 });
    await page.locator(".status.failed").waitFor();
    await page.getByRole("link", { name: "not_a_film.mp4" }).click();
    await page.getByText("What to do:").waitFor();
    await page.getByText("INPUT_NOT_MEDIA", { exact: true }).waitFor();
    await look("failed");
    await page.getByRole("button", { name: /^Try again/u }).click();
    await page.locator(".job-head .status.failed").waitFor();
  });

  it("a file that is too large is refused with a word", async () => {
    const { page } = browser;
    await open("/");
    await page.locator("#files").setInputFiles({
      name: "huge.mp4",
      mimeType: "video/mp4",
      buffer: Buffer.alloc(4 * 2 ** 20 + 1),
    });
    await page.getByRole("button", { name: /^Transcribe huge/u }).click();
    await page.getByText("larger than the server takes").waitFor();
    await page.getByRole("listitem").getByRole("button", { name: "Cancel" }).click();
  });

  it("lists with search and filters, and cancels, also on a phone in the dark", async () => {
    const { page } = browser;
    await page.setViewportSize({ width: 320, height: 640 });
    await page.emulateMedia({ colorScheme: "dark" });
    await dev.put("films/other.mp4");
    const { id } = await dev.client.submit("convert", { input: "films/other.mp4" });
    await page.getByRole("link", { name: "other.mp4" }).waitFor();
    await page.getByRole("button", { name: "Cancel other.mp4" }).click();
    await page.locator(".status.cancelled").waitFor();
    expect(await dev.client.get(id)).toMatchObject({ status: "cancelled" });
    await page.keyboard.press("/");
    await page.keyboard.type("other");
    await expect.poll(async () => await page.locator(".job").count()).toBe(1);
    await look("phone-list");
    await page.getByLabel("Search").fill("");
    await page.getByLabel("Status").selectOption("completed");
    await expect.poll(async () => await page.locator(".job").count()).toBe(1);
    await page.locator(".job a").click();
    await lines().first().waitFor();
    await look("phone-finished");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").waitFor();
    const answer = await page.evaluate(`fetch("media/${id}/input").then(({ status }) => status)`);
    expect(answer).toBe(401);
  });

  it("no name of a file became a tag, no rule of the page was broken, nothing is left behind", async () => {
    expect(await browser.page.title()).not.toContain("owned");
    // Chromium writes down every answer of 4xx.
    expect(browser.complaints.filter((text) => !/status of 4(01|13)/u.test(text))).toEqual([]);
    await expectNothingLeft(dev);
  });
});
