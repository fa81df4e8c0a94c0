import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BLOCK_BYTES } from "../../../src/modal/transfers/blocks.ts";
import { downloadFile } from "../../../src/modal/transfers/download.ts";
import { createTransferLimiter } from "../../../src/modal/transfers/transfer-limiter.ts";
import { startHttpStore } from "../../helpers/modal/http-store.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mirumoji-download-"));
});
afterEach(async () => await rm(folder, { recursive: true }));

const SIZE = BLOCK_BYTES + 3;
const CONTENT = Buffer.concat([Buffer.alloc(BLOCK_BYTES, "a"), Buffer.from("end")]);

/** A volume with one file of two blocks, whose URLs end in the number of the request that gave them. */
function volumeOn(url: string, sizes: (request: number) => number = () => SIZE) {
  let request = 0;
  return scriptedSession({
    volumeGetFile2: async () => {
      const size = sizes(++request);
      return { size, len: size, getUrls: [`${url}/0?${request}`, `${url}/1?${request}`] };
    },
  });
}

async function download(session: ReturnType<typeof scriptedSession>): Promise<Buffer> {
  const localPath = join(folder, "out");
  const into = await open(localPath, "w");
  const { signal } = new AbortController();
  try {
    await downloadFile(session, createTransferLimiter(), {
      volumeId: "vo-1",
      remotePath: "out.mp4",
      into,
      signal,
    });
  } finally {
    await into.close();
  }
  return await readFile(localPath);
}

const block = (path: string): Buffer =>
  CONTENT.subarray(path.startsWith("/0") ? 0 : BLOCK_BYTES).subarray(0, BLOCK_BYTES);

describe("block URLs that expire", () => {
  test("are asked for once, also for a block that finds out later", async () => {
    await using store = await startHttpStore(({ path }, response) => {
      const refuse = (): unknown => response.writeHead(403).end();
      if (path === "/0?1") refuse();
      else if (path === "/1?1") setTimeout(refuse, 300);
      else response.end(block(path));
    });
    const session = volumeOn(store.url);
    expect(Buffer.compare(await download(session), CONTENT)).toBe(0);
    expect(session.asked).toHaveLength(2);
  });

  test("are not asked for forever", async () => {
    await using store = await startHttpStore((_, response) => response.writeHead(403).end());
    const session = volumeOn(store.url);
    await expect(download(session)).rejects.toMatchObject({ code: "TRANSFER_FAILED" });
    expect(session.asked.length).toBeLessThanOrEqual(5);
  });

  test("of a file that is another one by then are not mixed with its first blocks", async () => {
    await using store = await startHttpStore(({ path }, response) => {
      if (path === "/1?1") response.writeHead(403).end();
      else response.end(block(path));
    });
    const changing = download(volumeOn(store.url, (request) => (request === 1 ? SIZE : SIZE + 1)));
    await expect(changing).rejects.toMatchObject({ code: "TRANSFER_CORRUPT" });
  });
});

test("a volume that offers too few blocks is not believed", async () => {
  const session = scriptedSession({
    volumeGetFile2: async () => ({ size: SIZE, len: SIZE, getUrls: ["http://x/0"] }),
  });
  await expect(download(session)).rejects.toMatchObject({ code: "TRANSFER_CORRUPT" });
});
