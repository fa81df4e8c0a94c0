import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { toMirumojiError } from "../../src/job/errors.ts";
import { type Elsewhere, openElsewhere } from "../../src/media/elsewhere/elsewhere.ts";
import { createMediaFiles } from "../../src/media/media-files.ts";
import { openMediaRoot } from "../../src/media/media-root.ts";
import { openOutbound } from "../../src/net/outbound.ts";
import type { InputFile } from "../../src/ports/media.ts";
import { testFolder } from "../../support/folder.ts";

const run = promisify(execFile);
const signal = new AbortController().signal;

/** How the server of the inputs behaves; each test says what is unusual. */
interface Manners {
  ranges: boolean;
  etag: string | null;
  type: string;
  status: number | null;
  /** Bytes after which each of the next connections is cut. */
  cuts: number[];
  redirect: ((path: string) => string | null) | null;
}

const usual = (): Manners => ({
  ranges: true,
  etag: '"one"',
  type: "video/mp4",
  status: null,
  cuts: [],
  redirect: null,
});

let folder: Awaited<ReturnType<typeof testFolder>>;
let server: ReturnType<typeof createServer>;
let base: string;
let manners: Manners;
let elsewhere: Elsewhere;
const files = new Map<string, Buffer>();
/** Headers of the requests, and how many bytes were sent in all. */
let asked: IncomingMessage["headers"][];
let sentBytes: number;

beforeAll(async () => {
  folder = await testFolder();
  const make = async (name: string, ...args: string[]) => {
    await run("ffmpeg", ["-v", "error", "-nostdin", ...args, join(folder.path, name)]);
    files.set(`/${name}`, await readFile(join(folder.path, name)));
    await rm(join(folder.path, name));
  };
  const film = "-f lavfi -i color=red:s=640x360:r=25:d=4 -f lavfi -i sine=440:d=4 -c:a aac";
  const large = [...film.replace("r=25", "r=15").split(" "), "-c:v", "rawvideo", "-pix_fmt", "uyvy422"];
  await make("film.mov", ...large.map((word) => word.replace("r=15", "r=2").replaceAll("d=4", "d=60")));
  await make("film.mkv", ...large);
  await make("film.ts", ...film.split(" "), "-c:v", "mpeg2video");
  server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await folder[Symbol.asyncDispose]();
});
beforeEach(() => {
  manners = usual();
  asked = [];
  sentBytes = 0;
});

function answer(request: IncomingMessage, response: ServerResponse): void {
  asked.push(request.headers);
  const path = (request.url ?? "").replace(/\?.*$/u, "");
  const location = manners.redirect?.(request.url ?? "") ?? null;
  if (location !== null) return void response.writeHead(302, { location }).end();
  const content = files.get(path);
  if (manners.status !== null || content === undefined) {
    return void response.writeHead(manners.status ?? 404).end();
  }
  const { start, end } = partOf(request.headers, content.length);
  const part = content.subarray(start ?? 0, end);
  response.writeHead(start === null ? 200 : 206, {
    "content-type": manners.type,
    "content-length": part.length,
    ...(manners.etag === null ? {} : { etag: manners.etag }),
    ...(start === null ? {} : { "content-range": `bytes ${start}-${end - 1}/${content.length}` }),
  });
  const cut = part.length > 1 ? manners.cuts.shift() : undefined;
  const shown = part.subarray(0, cut ?? part.length);
  pipeline(Readable.from(counted(shown)), response, { end: cut === undefined })
    .then(() => response.destroy())
    .catch(() => undefined);
}

/** The part that is asked for; all of it where the server has no parts, or another content now. */
function partOf(headers: IncomingMessage["headers"], length: number): { start: number | null; end: number } {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/u.exec(headers.range ?? "") ?? [];
  const condition = headers["if-range"];
  const isSame = condition === undefined || condition === manners.etag;
  if (!manners.ranges || !isSame || from === undefined) return { start: null, end: length };
  return { start: Number(from), end: to === undefined || to === "" ? length : Number(to) + 1 };
}

/** Counts what the other side takes. */
function* counted(part: Buffer): Generator<Buffer> {
  for (let at = 0; at < part.length; at += 65_536) {
    const piece = part.subarray(at, at + 65_536);
    sentBytes += piece.length;
    yield piece;
  }
}

async function setup({ networks = ["127.0.0.0/8"], maxBytes = 2 ** 30 } = {}) {
  const root = await testFolder();
  const outbound = openOutbound({ privateNetworks: networks, connectMs: 5000 });
  elsewhere = openElsewhere({ outbound, maxBytes });
  const media = createMediaFiles(await openMediaRoot(root.path), elsewhere);
  return {
    root: root.path,
    open: async (path: string, options: { needs?: "audio" | "video"; isCheck?: boolean } = {}) =>
      await media.openInput({ path, needs: "audio", signal, ...options }),
    [Symbol.asyncDispose]: async () => {
      await elsewhere.close();
      await root[Symbol.asyncDispose]();
    },
  };
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  return await action.then(
    () => "accepted",
    (error: unknown) => toMirumojiError(error).code,
  );
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function whole(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The FLAC that is sent in the place of an input. */
async function audioOf(input: InputFile): Promise<Buffer> {
  const track = await input.openAudio({ isForced: true, signal });
  if (track === null) throw new Error("there is no track");
  try {
    return await whole(track.content);
  } finally {
    await track.close();
  }
}

/** The same of the file on this machine. */
async function localAudio(name: string): Promise<Buffer> {
  await using local = await testFolder();
  await writeFile(join(local.path, name), files.get(`/${name}`) ?? "");
  const media = createMediaFiles(await openMediaRoot(local.path));
  await using input = await media.openInput({ path: name, needs: "audio", signal });
  return await audioOf(input);
}

describe("an input by URL", () => {
  it.each(["film.mov", "film.mkv", "film.ts"])(
    "gives the sound of %s as the file itself does",
    async (name) => {
      await using test = await setup();
      await using input = await test.open(`${base}/${name}?X-Amz-Signature=s3cr3t`);
      expect(sha256(await audioOf(input))).toBe(sha256(await localAudio(name)));
      expect(await readdir(test.root)).toEqual([]);
    },
  );

  it("is sent as it is, going on where the connection was cut", async () => {
    await using test = await setup();
    await using input = await test.open(`${base}/film.mkv`, { needs: "video" });
    manners.cuts = [100_000, 50_000, 0];
    asked = [];
    if (input.elsewhere === undefined) throw new Error("it is elsewhere");
    expect(sha256(await whole(input.elsewhere.read(signal)))).toBe(
      sha256(files.get("/film.mkv") ?? Buffer.of()),
    );
    expect(asked.map(({ range }) => range)).toEqual([
      undefined,
      "bytes=100000-",
      "bytes=150000-",
      "bytes=150000-",
    ]);
    expect(asked.at(-1)?.["if-range"]).toBe('"one"');
  });

  it("keeps the sound whole over cuts, and never takes a cut for the end", async () => {
    await using test = await setup();
    await using input = await test.open(`${base}/film.mkv`);
    manners.cuts = [200_000, 0, 300_000];
    expect(sha256(await audioOf(input))).toBe(sha256(await localAudio("film.mkv")));
    await using other = await test.open(`${base}/film.mov`);
    manners.status = 403;
    expect(await codeOf(audioOf(other))).toBe("INPUT_URL_DENIED");
  });

  it("is read in part where only the sound is wanted", async () => {
    await using test = await setup();
    await using input = await test.open(`${base}/film.mov`, { isCheck: true });
    expect(input.seconds).toBeCloseTo(60, 0);
    expect(sentBytes).toBeLessThan((files.get("/film.mov")?.length ?? 0) * 0.75);
  });

  it("is fetched into a file without a name where the server has no ranges", async () => {
    await using test = await setup();
    manners.ranges = false;
    await using check = await test.open(`${base}/film.mov`, { isCheck: true });
    expect(check.localPath).toBeNull();
    expect(asked).toHaveLength(1);
    await using input = await test.open(`${base}/film.mov`);
    expect(sha256(await readFile(input.localPath ?? ""))).toBe(sha256(files.get("/film.mov") ?? Buffer.of()));
    expect(await readdir(test.root)).toEqual([]);
    manners.cuts = [1000];
    expect(sha256(await audioOf(input))).toBe(sha256(await localAudio("film.mov")));
  });

  it("that becomes another one is an error of the job", async () => {
    await using test = await setup();
    await using input = await test.open(`${base}/film.mkv`);
    manners.cuts = [9_000_000, 9_000_000];
    manners.etag = '"two"';
    expect(await codeOf(audioOf(input))).toBe("INPUT_CHANGED");
    await using again = await test.open(`${base}/film.mkv`, { isCheck: true });
    expect(again.elsewhere?.identity).toMatchObject({
      etag: '"two"',
      sizeBytes: files.get("/film.mkv")?.length,
    });
  });

  it.each([
    [404, "INPUT_URL_NOT_FOUND"],
    [403, "INPUT_URL_DENIED"],
    [418, "INPUT_URL_DENIED"],
    [503, "INPUT_URL_UNREACHABLE"],
  ])("answered with %i fails with %s", async (status, code) => {
    await using test = await setup();
    manners.status = status;
    expect(await codeOf(test.open(`${base}/film.mov`))).toBe(code);
  });

  it("of another kind or size is refused before it is read", async () => {
    await using test = await setup({ maxBytes: 1000 });
    expect(await codeOf(test.open(`${base}/film.mov`))).toBe("INPUT_TOO_LARGE");
    for (const type of ["text/html; charset=utf-8", "application/vnd.apple.mpegurl", "image/png"]) {
      manners.type = type;
      expect(await codeOf(test.open(`${base}/film.mov`))).toBe("INPUT_URL_NOT_MEDIA");
    }
    expect(sentBytes).toBeLessThan(100);
  });

  it("follows redirects, and asks the first URL again when they are over", async () => {
    await using test = await setup();
    let good = "a";
    manners.redirect = (path) => {
      if (path.startsWith("/start")) return `/film.mkv?${good}`;
      return path.endsWith(good) || path === "/gone" ? null : "/gone";
    };
    await using input = await test.open(`${base}/start`, { needs: "video" });
    manners.cuts = [100_000];
    const content = input.elsewhere?.read(signal)[Symbol.asyncIterator]();
    await content?.next();
    good = "b";
    let bytes = 0;
    for (let next = await content?.next(); next?.done === false; next = await content?.next())
      bytes += next.value.length;
    expect(bytes).toBeGreaterThan(0);
    manners.redirect = () => "/round";
    expect(await codeOf(test.open(`${base}/round`))).toBe("INPUT_URL_REDIRECTS");
  });

  it("never reaches an address that is not public, not by a redirect either", async () => {
    await using closed = await setup({ networks: [] });
    expect(await codeOf(closed.open(`${base}/film.mov`))).toBe("URL_NOT_ALLOWED");
    expect(await codeOf(closed.open(base.replace("127.0.0.1", "localhost")))).toBe("URL_NOT_ALLOWED");
    expect(asked).toEqual([]);
    await using test = await setup();
    for (const location of [
      "http://169.254.169.254/latest",
      "file:///etc/passwd",
      "http://[::1]/",
      "ftp://127.0.0.1/",
    ]) {
      manners.redirect = () => location;
      expect(await codeOf(test.open(`${base}/film.mov`))).toBe("URL_NOT_ALLOWED");
    }
  });
});
