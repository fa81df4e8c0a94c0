import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { getBlock, putBlock, UrlExpiredError } from "../../src/modal/block-store.ts";
import { startHttpStore } from "./http-store.ts";

const options = () => ({ what: "a.mkv, block 0", signal: new AbortController().signal });
const digestOf = (bytes: Buffer): string =>
  `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;

describe("sending a block", () => {
  test("sends exactly its bytes with their length and nothing of ours, and gives the answer", async () => {
    await using store = await startHttpStore((_, response) => response.end("proof"));
    const answer = await putBlock(`${store.url}/block?signed`, Buffer.from("bytes"), options());
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
    await putBlock(store.url, new Uint8Array(), options());
    expect(store.requests[0]?.headers["content-length"]).toBe("0");
  });

  test("is tried again after a server error and after a broken connection", async () => {
    await using store = await startHttpStore((_, response, count) => {
      if (count === 1) response.writeHead(503).end();
      else if (count === 2) response.destroy();
      else response.end("proof");
    });
    expect(Buffer.from(await putBlock(store.url, Buffer.from("bytes"), options())).toString()).toBe("proof");
    expect(store.requests.map(({ body }) => body.toString())).toEqual(["bytes", "bytes", "bytes"]);
  });

  test.each([401, 403, 404, 410])("is not tried again on a URL that answers %i", async (status) => {
    await using store = await startHttpStore((_, response) => response.writeHead(status).end());
    await expect(putBlock(store.url, Buffer.from("bytes"), options())).rejects.toBeInstanceOf(
      UrlExpiredError,
    );
    expect(store.requests).toHaveLength(1);
  });

  test("stops within 100 ms of an abort, with its reason", async () => {
    await using store = await startHttpStore(() => {});
    const controller = new AbortController();
    const cancelled = new MirumojiError("CANCELLED", "somebody asked");
    let abortedAt = 0;
    setTimeout(() => {
      abortedAt = performance.now();
      controller.abort(cancelled);
    }, 50);
    const sending = putBlock(store.url, Buffer.from("bytes"), { ...options(), signal: controller.signal });
    await expect(sending).rejects.toBe(cancelled);
    expect(performance.now() - abortedAt).toBeLessThan(100);
  });

  test("keeps the presigned URL out of its message", async () => {
    await using store = await startHttpStore((_, response) => response.writeHead(403).end());
    const refused = putBlock(`${store.url}/block?signature=secret`, Buffer.from("bytes"), options());
    await expect(refused).rejects.toThrow(/a\.mkv, block 0.*403/);
    await expect(refused).rejects.not.toThrow(/secret/);
  });
});

describe("fetching a block", () => {
  test("believes a body of the right length", async () => {
    await using store = await startHttpStore((_, response) => response.end("bytes"));
    expect(Buffer.from(await getBlock(store.url, 5, options())).toString()).toBe("bytes");
  });

  test("tries again when fewer bytes come than were announced, or than the block has", async () => {
    await using store = await startHttpStore((_, response, count) => {
      if (count === 1) {
        response.writeHead(200, { "content-length": 5 }).write("by", () => response.destroy());
      } else response.end(count === 2 ? "byt" : "bytes");
    });
    expect(Buffer.from(await getBlock(store.url, 5, options())).toString()).toBe("bytes");
    expect(store.requests).toHaveLength(3);
  });

  test("believes a short body that brings its digest: its trailing zeros were left out", async () => {
    await using store = await startHttpStore((_, response) => {
      response.setHeader("repr-digest", digestOf(Buffer.from("byt"))).end("byt");
    });
    expect(Buffer.from(await getBlock(store.url, 5, options())).toString()).toBe("byt");
    expect(store.requests).toHaveLength(1);
  });

  test("tries again when the bytes do not have the digest that came with them", async () => {
    await using store = await startHttpStore((_, response, count) => {
      response
        .setHeader("repr-digest", `md5=:AAAA:, ${digestOf(Buffer.from("bytes"))}`)
        .end(count === 1 ? "bytez" : "bytes");
    });
    expect(Buffer.from(await getBlock(store.url, 5, options())).toString()).toBe("bytes");
    expect(store.requests).toHaveLength(2);
  });

  test("asks for a new URL when this one has expired", async () => {
    await using store = await startHttpStore((_, response) => response.writeHead(403).end());
    await expect(getBlock(store.url, 5, options())).rejects.toBeInstanceOf(UrlExpiredError);
  });
});
