import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect as connectSocket, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import { type Exchange, type Front, GoneError, openFront } from "../../src/gpu-host/http/front.ts";
import { type Log, silentLog } from "../../src/gpu-host/log.ts";
import { BLOCK_BYTES } from "../../src/gpu-host/store/blocks.ts";
import {
  blocksOf,
  connect,
  getFile,
  newVolume,
  putRequest,
  sha256,
  startHost,
  temporaryDirectory,
  undoAll,
} from "../helpers/gpu-host/host.ts";

const fronts: Front[] = [];

afterEach(async () => {
  for (const front of fronts.splice(0)) await front.close();
  await undoAll();
});

/** A front whose exchanges are answered by the test. Gives its URL, and how each exchange ended. */
async function serve(
  handle: (exchange: Exchange) => Promise<void>,
): Promise<{ url: string; port: number; outcomes: Promise<unknown>[] }> {
  const outcomes: Promise<unknown>[] = [];
  const onExchange = (exchange: Exchange): void => {
    const outcome = handle(exchange).then(
      () => "done",
      (error: unknown) => error,
    );
    outcomes.push(outcome);
  };
  const front = await openFront({ host: "127.0.0.1", port: 0, onExchange });
  fronts.push(front);
  return { url: `http://127.0.0.1:${front.port}`, port: front.port, outcomes };
}

/** A request that never gets to its end. */
function beginning(port: number): Socket {
  const socket = connectSocket(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nthe beginning");
  return socket;
}

const put = async (url: string, body: Buffer) => await fetch(url, { method: "PUT", body });
const landing = { position: 0, limit: Number.POSITIVE_INFINITY, algorithm: "sha256" } as const;

describe("a front", () => {
  test("puts bodies that come at the same time in their own places, with their own digests", async () => {
    const path = join(await temporaryDirectory(), "file");
    await using file = await open(path, "w");
    const { url } = await serve(async (exchange) => {
      const position = Number(exchange.url.slice(1));
      await exchange.answer(200, JSON.stringify(await exchange.receive({ ...landing, file, position })));
    });
    const contents = Array.from({ length: 8 }, (_, index) => randomBytes(3_000_000 + index));

    const received = await Promise.all(
      contents.map(
        async (content, index) => await (await put(`${url}/${index * 4_000_000}`, content)).json(),
      ),
    );

    expect(received).toEqual(
      contents.map((content) => ({ bytes: content.length, digest: sha256(content).toString("hex") })),
    );
    const written = await readFile(path);
    const differing = contents.filter((content, index) => {
      const start = index * 4_000_000;
      return !written.subarray(start, start + content.length).equals(content);
    });
    expect(differing).toHaveLength(0);
  });

  test("tells that a file cannot be written, passes over what still comes, and hears the next request", async () => {
    await using readOnly = await open(join(await temporaryDirectory(), "file"), "w+");
    await using unwritable = await open("/dev/full", "w");
    const seen: unknown[] = [];
    const { url } = await serve(async (exchange) => {
      const file = exchange.url === "/full" ? unwritable : readOnly;
      const landed = await exchange.receive({ ...landing, file }).catch((error: unknown) => error);
      seen.push(landed);
      await exchange.answer(landed instanceof Error ? 500 : 200, "");
    });
    // More than the kernel buffers: a front that does not drain the rest blocks the connection.
    const content = randomBytes(30_000_000);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = async (to: string) => {
      const sending = request(to, { method: "PUT", agent, headers: { "Content-Length": content.length } });
      sending.end(content);
      const [answer] = (await once(sending, "response")) as [IncomingMessage];
      await text(answer);
      return answer.statusCode;
    };

    expect(await send(`${url}/full`)).toBe(500);
    expect(await send(url)).toBe(200);
    agent.destroy();
    expect(seen).toMatchObject([{ code: "ENOSPC" }, { bytes: content.length }]);
  });

  test("counts what is beyond the limit and does not write it", async () => {
    const path = join(await temporaryDirectory(), "file");
    await using file = await open(path, "w");
    const { url, port } = await serve(async (exchange) => {
      const { bytes } = await exchange.receive({ ...landing, file, limit: 10 });
      await exchange.answer(200, String(bytes));
    });
    expect(await (await put(url, Buffer.from("1234567890"))).text()).toBe("10");
    const socket = connectSocket(port, "127.0.0.1");
    socket.write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nConnection: close\r\n\r\nabcde");
    await expect.poll(async () => (await readFile(path, "utf8")).slice(0, 5)).toBe("abcde");
    socket.write("fghijmore");

    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\n14$/u);
    expect(await readFile(path, "utf8")).toBe("abcde67890");
  });

  test("sends a part of a file, and only that", async () => {
    const path = join(await temporaryDirectory(), "file");
    const content = randomBytes(3_000_000);
    await using file = await open(path, "w+");
    await file.write(content);
    const { url } = await serve(async (exchange) => {
      const [start = 0, length = 0] = exchange.url.slice(1).split("/").map(Number);
      await exchange.send(file, { start, length });
    });
    const get = async (part: string) => Buffer.from(await (await fetch(`${url}/${part}`)).arrayBuffer());

    expect((await get("1/2500000")).equals(content.subarray(1, 2_500_001))).toBe(true);
    expect(await get("5/0")).toHaveLength(0);
    const all = await Promise.all(Array.from({ length: 8 }, async () => await get("0/3000000")));
    expect(all.filter((bytes) => !bytes.equals(content))).toHaveLength(0);
  });

  test("breaks off an answer whose file turns out shorter, instead of a short one", async () => {
    await using file = await open(join(await temporaryDirectory(), "file"), "w+");
    await file.write("short");
    const { url, outcomes } = await serve(
      async (exchange) => await exchange.send(file, { start: 0, length: 10 }),
    );

    await expect(fetch(url).then(async (answer) => await answer.text())).rejects.toThrow();
    expect(await outcomes[0]).toMatchObject({ message: expect.stringContaining("shorter") as string });
  });

  test("tells whoever works for a client that it has hung up", async () => {
    const { port, outcomes } = await serve(async (exchange) => {
      await exchange.receive({ ...landing, file: undefined });
    });
    const socket = beginning(port);
    await expect.poll(() => outcomes).toHaveLength(1);
    socket.destroy();

    expect(await outcomes[0]).toBeInstanceOf(GoneError);
  });

  test("that is closed leaves no order without an end, and takes no more", async () => {
    const later: unknown[] = [];
    const { port, outcomes } = await serve(async (exchange) => {
      const outcome = await exchange
        .receive({ ...landing, file: undefined })
        .catch((error: unknown) => error);
      later.push(await exchange.answer(200, "").catch((error: unknown) => error));
      throw outcome;
    });
    const socket = beginning(port);
    await expect.poll(() => outcomes).toHaveLength(1);
    await fronts[0]?.close();

    expect(await outcomes[0]).toBeInstanceOf(GoneError);
    expect(later).toEqual([expect.any(GoneError)]);
    socket.destroy();
  });

  test("gives no text that is too long to be an order", async () => {
    const { url } = await serve(
      async (exchange) => await exchange.answer(200, String(await exchange.text())),
    );
    const post = async (body: string) => await (await fetch(url, { method: "POST", body })).text();
    expect(await post("日本語")).toBe("日本語");
    expect(await post("x".repeat(70_000))).toBe("null");
  });

  test("cannot be opened on a port that is taken", async () => {
    const { port } = await serve(async (exchange) => await exchange.drop());
    const opening = openFront({ host: "127.0.0.1", port, onExchange: () => undefined });
    await expect(opening).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("a host", () => {
  test("on a port that is taken does not start, and leaves its other ports free", async () => {
    const first = await startHost();
    const dataDir = await temporaryDirectory();
    const [taken = 0] = first.httpPorts;
    const says = (variable: string) => {
      const message = expect.stringMatching(new RegExp(`EADDRINUSE.*${variable}`, "u")) as string;
      return { code: "CONFIG_INVALID", message };
    };
    await expect(startHost({ dataDir, httpPorts: [0, taken] })).rejects.toMatchObject(
      says("MIRUMOJI_GPU_HOST_HTTP_PORT"),
    );
    await expect(startHost({ dataDir, grpcPort: taken })).rejects.toMatchObject(
      says("MIRUMOJI_GPU_HOST_PORT"),
    );
    await startHost({ dataDir });
  });

  test("has no trouble with a path that is none", async () => {
    const troubles: unknown[] = [];
    const logger: Log = { ...silentLog, error: (trouble) => troubles.push(trouble) };
    const { httpPorts } = await startHost({ logger });
    const socket = connectSocket(httpPorts[0] ?? 0, "127.0.0.1");
    socket.write("GET // HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /u);
    expect(troubles).toEqual([]);
  });

  test("hands out the addresses of all its threads", async () => {
    const host = await startHost();
    const cp = connect(host);
    const volumeId = await newVolume(cp);
    const { missingBlocks } = await cp.volumePutFiles2(
      putRequest(volumeId, "file", randomBytes(BLOCK_BYTES + 1)),
    );
    const ports = missingBlocks.map(({ putUrl }) => Number(new URL(putUrl).port));
    expect(new Set(ports)).toEqual(new Set(host.httpPorts));
  });

  test("of many senders those with wrong bytes and those that break off leave nothing", async () => {
    const host = await startHost();
    const cp = connect(host);
    const volumeId = await newVolume(cp);
    const data = Buffer.concat([randomBytes(9 * BLOCK_BYTES), Buffer.alloc(BLOCK_BYTES / 2)]);
    data.fill(0, 9 * BLOCK_BYTES - 5000, 9 * BLOCK_BYTES);
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    const blocks = blocksOf(data);

    const outcomes = await Promise.all(
      missingBlocks.map(async ({ blockIndex, putUrl }) => {
        const block = blocks[blockIndex] ?? Buffer.alloc(0);
        if (blockIndex === 3) return await brokenOff(putUrl, block);
        const body = blockIndex === 5 ? Buffer.concat([block.subarray(0, -1), Buffer.of(0)]) : block;
        return (await fetch(putUrl, { method: "PUT", body })).status;
      }),
    );

    expect(outcomes).toEqual([200, 200, 200, "broken", 200, 400, 200, 200, 200, 200]);
    const again = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    expect(again.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([3, 5]);
    for (const { blockIndex, putUrl } of again.missingBlocks) {
      await fetch(putUrl, { method: "PUT", body: blocks[blockIndex] ?? null });
    }
    expect((await cp.volumePutFiles2(putRequest(volumeId, "file", data))).missingBlocks).toEqual([]);
    expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
  });
});

/** Sends most of a body and hangs up. */
async function brokenOff(url: string, body: Buffer): Promise<"broken"> {
  const sending = request(url, { method: "PUT", headers: { "Content-Length": body.length } });
  sending.on("error", () => undefined);
  const closed = new Promise((resolve) => sending.on("close", resolve));
  sending.write(body.subarray(0, 6_000_000), () => sending.destroy());
  await closed;
  return "broken";
}
