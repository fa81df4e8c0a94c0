import { createHash } from "node:crypto";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import {
  fetchIntoMemory,
  FinalError,
  getBlock,
  getWhole,
  putBlock,
  UrlExpiredError,
} from "../../../src/modal/transfers/block-store.ts";
import { blockThread } from "../../../src/modal/transfers/block-worker.ts";
import { abortLatency } from "../../helpers/modal/abort-latency.ts";
import { startHttpStore } from "../../helpers/modal/http-store.ts";

const ofBlock = () => ({ what: "a.mkv, block 0", signal: new AbortController().signal });
const digestOf = (bytes: Buffer): string =>
  `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;

describe("sending a block", () => {
  test("sends exactly its bytes with their length and nothing of ours, and gives the answer", async () => {
    await using store = await startHttpStore((_, response) => response.end("proof"));
    const answer = await putBlock(`${store.url}/block?signed`, Buffer.from("bytes"), ofBlock());
    expect(Buffer.from(answer).toString()).toBe("proof");
    const [request] = store.requests;
    expect(request).toMatchObject({ method: "PUT", path: "/block?signed", body: Buffer.from("bytes") });
    expect(request?.headers).toMatchObject({ "content-length": "5" });
    expect(request?.headers["transfer-encoding"]).toBeUndefined();
    expect(Object.keys(request?.headers ?? {}).filter((name) => /modal|authorization/.test(name))).toEqual(
      [],
    );
  });

  test("of zeros only is an empty body with a length", async () => {
    await using store = await startHttpStore((_, response) => response.end("proof"));
    await putBlock(store.url, new Uint8Array(), ofBlock());
    expect(store.requests[0]?.headers["content-length"]).toBe("0");
  });

  test("is tried again after a server error and after a broken connection", async () => {
    await using store = await startHttpStore((_, response, count) => {
      if (count === 1) response.writeHead(503).end();
      else if (count === 2) response.destroy();
      else response.end("proof");
    });
    expect(Buffer.from(await putBlock(store.url, Buffer.from("bytes"), ofBlock())).toString()).toBe("proof");
    expect(store.requests.map(({ body }) => body.toString())).toEqual(["bytes", "bytes", "bytes"]);
  });

  test.each([401, 403, 404, 410])("is not tried again on a URL that answers %i", async (status) => {
    await using store = await startHttpStore((_, response) => response.writeHead(status).end());
    await expect(putBlock(store.url, Buffer.from("bytes"), ofBlock())).rejects.toBeInstanceOf(
      UrlExpiredError,
    );
    expect(store.requests).toHaveLength(1);
  });

  test("stops within 100 ms of an abort, with its reason", async () => {
    await using store = await startHttpStore(() => {});
    const reason = new MirumojiError("CANCELLED", "somebody asked");
    const latency = await abortLatency(
      reason,
      50,
      async (signal) => await putBlock(store.url, Buffer.from("bytes"), { ...ofBlock(), signal }),
    );
    expect(latency).toBeLessThan(100);
  });

  test("keeps the presigned URL out of its message", async () => {
    await using store = await startHttpStore((_, response) => response.writeHead(403).end());
    const refused = putBlock(`${store.url}/block?signature=secret`, Buffer.from("bytes"), ofBlock());
    await expect(refused).rejects.toThrow(/a\.mkv, block 0.*403/);
    await expect(refused).rejects.not.toThrow(/secret/);
  });
});

const thread = blockThread();
let file: FileHandle;
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mirumoji-block-"));
  file = await open(join(folder, "out"), "w+");
});
afterAll(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

/** Each fetches a block of five bytes and gives what is there then. */
const WAYS = {
  "into memory": async (url: string, options = ofBlock()) => {
    const into = new Uint8Array(5).fill(7);
    await getBlock(5, async () => await fetchIntoMemory(url, into, options.signal), { url, ...options });
    return Buffer.from(into).toString();
  },
  "into a file": async (url: string, options = ofBlock()) => {
    await file.write("0123456789abcde", 0);
    const part = { fd: file.fd, position: 5, length: 5, url };
    await getBlock(5, async () => await thread.fetch(part, options.signal), { url, ...options });
    const { buffer } = await file.read(Buffer.alloc(20), 0, 20, 0);
    const text = buffer.toString("utf8", 0, 15);
    expect(text).toMatch(/^01234.{5}abcde$/su);
    return text.slice(5, 10);
  },
};

describe.each(Object.entries(WAYS))("fetching a block %s", (_way, fetched) => {
  test("believes a body of the right length", async () => {
    await using store = await startHttpStore((_, response) => response.end("bytes"));
    expect(await fetched(store.url)).toBe("bytes");
  });

  test.each([
    ["fewer bytes come than were announced", "cut"],
    ["the block is longer", "byt"],
    ["the block is shorter", "bytes and more"],
  ])("tries again when %s", async (_name, wrong) => {
    await using store = await startHttpStore((_, response, count) => {
      if (count > 1) response.end("bytes");
      else if (wrong === "cut") {
        response.writeHead(200, { "content-length": 5 }).write("by", () => response.destroy());
      } else response.end(wrong);
    });
    expect(await fetched(store.url)).toBe("bytes");
    expect(store.requests).toHaveLength(2);
  });

  test.each(["", "byt"])(
    "believes a short body that brings its digest, and adds zeros: %j",
    async (short) => {
      await using store = await startHttpStore((_, response) => {
        response.setHeader("repr-digest", digestOf(Buffer.from(short))).end(short);
      });
      expect(await fetched(store.url)).toBe(short.padEnd(5, "\0"));
      expect(store.requests).toHaveLength(1);
    },
  );

  test("tries again when the bytes do not have the digest that came with them", async () => {
    await using store = await startHttpStore((_, response, count) => {
      response
        .setHeader("repr-digest", `md5=:AAAA:, ${digestOf(Buffer.from("bytes"))}`)
        .end(count === 1 ? "bytez" : "bytes");
    });
    expect(await fetched(store.url)).toBe("bytes");
    expect(store.requests).toHaveLength(2);
  });

  test("asks for a new URL when this one has expired", async () => {
    await using store = await startHttpStore((_, response) => response.writeHead(403).end("no"));
    await expect(fetched(store.url)).rejects.toBeInstanceOf(UrlExpiredError);
  });

  test("stops within 100 ms of an abort, with its reason", async () => {
    await using store = await startHttpStore((_, response) => {
      response.writeHead(200, { "content-length": 5 }).write("by");
    });
    const reason = new MirumojiError("CANCELLED", "somebody asked");
    const fetching = async (signal: AbortSignal) => await fetched(store.url, { ...ofBlock(), signal });
    expect(await abortLatency(reason, 50, fetching)).toBeLessThan(100);
  });

  test("says in the end that always too many came", async () => {
    await using store = await startHttpStore((_, response) => response.end("bytes and more"));
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    try {
      const fetching = expect(fetched(store.url)).rejects.toMatchObject({ code: "TRANSFER_CORRUPT" });
      const hurry = setInterval(() => void vi.advanceTimersByTimeAsync(10_000), 20);
      await fetching;
      clearInterval(hurry);
    } finally {
      vi.useRealTimers();
    }
    expect(store.requests.length).toBeGreaterThan(1);
  });
});

test("a connection for fetching that the store has closed costs no try", async () => {
  await using store = await startHttpStore((_, response, count) => {
    if (count === 2) response.socket?.resetAndDestroy();
    else response.end("bytes");
  });
  expect(await WAYS["into a file"](store.url)).toBe("bytes");
  const startedAt = performance.now();
  expect(await WAYS["into a file"](store.url)).toBe("bytes");
  expect(store.requests).toHaveLength(3);
  expect(performance.now() - startedAt).toBeLessThan(400);
});

test("a block that cannot be kept is not asked for again", async () => {
  await using store = await startHttpStore((_, response) => response.end("bytes"));
  const full = new MirumojiError("DISK_FULL", "no space");
  const fetch = async () => {
    await fetchIntoMemory(store.url, new Uint8Array(5), ofBlock().signal);
    throw new FinalError(full);
  };
  await expect(getBlock(5, fetch, { url: store.url, ...ofBlock() })).rejects.toBe(full);
  expect(store.requests).toHaveLength(1);
});

describe("fetching what nobody told the length of", () => {
  const whole = async (url: string, maxBytes = 10) =>
    Buffer.from(await getWhole(url, { ...ofBlock(), maxBytes })).toString();

  test("gives all of it, and compares the digest", async () => {
    await using store = await startHttpStore((_, response, count) => {
      response.setHeader("repr-digest", digestOf(Buffer.from("bytes"))).end(count === 1 ? "bytez" : "bytes");
    });
    expect(await whole(store.url)).toBe("bytes");
    expect(store.requests).toHaveLength(2);
  });
});

describe("connections", () => {
  test("are kept, and one that the store has closed meanwhile costs no try", async () => {
    const closed: (() => void)[] = [];
    const sockets = new Set<unknown>();
    await using store = await startHttpStore(({ path }, response) => {
      sockets.add(response.socket);
      // The second request on a connection is cut off, as by a store whose patience just ended.
      if (path === "/cut" && closed.length === 0) {
        closed.push(() => undefined);
        response.socket?.resetAndDestroy();
      } else response.end("proof");
    });
    await putBlock(`${store.url}/first`, Buffer.from("a"), ofBlock());
    await putBlock(`${store.url}/second`, Buffer.from("b"), ofBlock());
    expect(sockets.size).toBe(1);
    const startedAt = performance.now();
    await putBlock(`${store.url}/cut`, Buffer.from("c"), ofBlock());
    expect(store.requests.map(({ path }) => path)).toEqual(["/first", "/second", "/cut", "/cut"]);
    // No pause before the new connection: the pauses are up to half a second.
    expect(performance.now() - startedAt).toBeLessThan(400);
  });
});
