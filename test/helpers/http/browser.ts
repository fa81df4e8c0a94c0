import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { testFolder } from "../../../support/folder.ts";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const SCREENSHOTS = fileURLToPath(new URL("../../../test-results/", import.meta.url));
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Path of the browser, or null. */
export const browserPath: string | null = PLACES.find((path) => existsSync(path)) ?? null;

/** A headless browser with a profile of its own. */
export interface Browser extends AsyncDisposable {
  readonly page: Page;
  /** Console complaints of the pages: script errors, refused resources. */
  readonly complaints: string[];
  screenshot(name: string): Promise<void>;
}

export async function openBrowser(login?: { username: string; password: string }): Promise<Browser> {
  const profile = await testFolder();
  const context: BrowserContext = await chromium.launchPersistentContext(profile.path, {
    executablePath: browserPath ?? "",
    headless: true,
    args: ARGUMENTS,
    ...(login === undefined ? {} : { httpCredentials: login }),
    viewport: { width: 1280, height: 900 },
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  return {
    page,
    complaints,
    async screenshot(name) {
      await mkdir(SCREENSHOTS, { recursive: true });
      await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
    },
    async [Symbol.asyncDispose]() {
      await context.close();
      await profile[Symbol.asyncDispose]();
    },
  };
}
