import { spawn } from "node:child_process";
import { once } from "node:events";
import { type FileHandle, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blockThread } from "../../../src/modal/transfers/block-worker.ts";
import { StaleConnectionError } from "../../../src/modal/transfers/http-exchange.ts";

const thread = blockThread();
const { signal } = new AbortController();
let folder = "";
let file: FileHandle;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mirumoji-get-"));
  file = await open(join(folder, "out"), "w+");
});
afterAll(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

/** A server that says what the test wants, byte for byte, to each request. */
async function rawServer(answer: (socket: Socket, request: number) => void) {
  let requests = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    let head = "";
    socket.on("data", (bytes) => {
      head += bytes.toString("latin1");
      if (!head.endsWith("\r\n\r\n")) return;
      head = "";
      answer(socket, ++requests);
    });
  });
  const url = await listening(server);
  return {
    url,
    connections: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function listening(server: Server): Promise<string> {
  server.listen(0, "localhost");
  await once(server, "listening");
  // By name, as stores are: two addresses may stand behind it.
  return `localhost:${(server.address() as AddressInfo).port}`;
}

async function fetched(url: string, length: number): Promise<string> {
  await file.truncate(0);
  const { status, storedBytes } = await thread.fetch({ fd: file.fd, position: 0, length, url }, signal);
  const { buffer } = await file.read(Buffer.alloc(length + 10), 0, length + 10, 0);
  return `${status} ${buffer.toString("latin1", 0, storedBytes)}`;
}

describe("a body is the same", () => {
  const sized = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const chunked = (body: string) => {
    const half = Math.ceil(body.length / 2);
    const chunks = [body.slice(0, half), body.slice(half)].filter((chunk) => chunk !== "");
    const parts = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("");
    return `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${parts}0\r\n\r\n`;
  };
  const untilTheEnd = (body: string) => `HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${body}`;
  const interim = (body: string) => `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${sized(body)}`;

  test.each(Object.entries({ sized, chunked, untilTheEnd, interim }))(
    "however it is framed and cut into pieces: %s",
    async (way, frame) => {
      await fc.assert(
        fc.asyncProperty(
          fc.string({ unit: "binary-ascii", maxLength: 300 }),
          fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 8 }),
          async (body, cuts) => {
            const sent = async (socket: Socket): Promise<void> => {
              let rest = frame(body);
              for (let at = 0; rest !== ""; at++) {
                const length = cuts[at % cuts.length] ?? 1;
                socket.write(rest.slice(0, length), "latin1");
                rest = rest.slice(length);
                await new Promise(setImmediate);
              }
              if (way === "untilTheEnd") socket.end();
            };
            await using server = await rawServer((socket) => void sent(socket));
            expect(await fetched(`http://${server.url}/a?b`, body.length)).toBe(`200 ${body}`);
            if (way !== "untilTheEnd") await fetched(`http://${server.url}/again`, body.length);
            expect(server.connections()).toBe(1);
          },
        ),
        { numRuns: 25 },
      );
    },
  );
});

test("a connection that the store wants closed is not used again", async () => {
  await using server = await rawServer((socket) => {
    socket.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
  });
  for (const path of ["one", "two"]) expect(await fetched(`http://${server.url}/${path}`, 2)).toBe("200 ok");
  expect(server.connections()).toBe(2);
});

test("what comes after the answer is not the beginning of the next one", async () => {
  await using server = await rawServer((socket) => {
    socket.write(
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
    );
  });
  for (const path of ["one", "two"]) expect(await fetched(`http://${server.url}/${path}`, 2)).toBe("200 ok");
  expect(server.connections()).toBe(2);
});

test.each([
  ["no HTTP", "SSH-2.0-OpenSSH\r\n\r\n"],
  ["headers without end", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(20_000)}`],
  ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"],
  ["nothing", ""],
  ["half an answer", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"],
])("%s is an error, and not waited for", async (_name, answer) => {
  await using server = await rawServer((socket) => socket.end(answer));
  await expect(fetched(`http://${server.url}/`, 2)).rejects.toThrow();
});

test("a kept connection on which nothing comes any more is known as such, a new one is not", async () => {
  await using server = await rawServer((socket, request) => {
    if (request === 1) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    else socket.end();
  });
  await fetched(`http://${server.url}/`, 2);
  await expect(fetched(`http://${server.url}/`, 2)).rejects.toBeInstanceOf(StaleConnectionError);
  await expect(fetched(`http://${server.url}/`, 2)).rejects.not.toBeInstanceOf(StaleConnectionError);
});

test("what a refusal says is not written", async () => {
  await using server = await rawServer((socket) => {
    socket.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
  });
  expect(await fetched(`http://${server.url}/`, 2)).toBe("403 ");
  expect((await file.stat()).size).toBe(0);
});

test("only what a GET needs is sent", async () => {
  let seen = "";
  const spy = createServer((socket) => {
    socket.on("data", (bytes) => (seen += bytes.toString()));
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  });
  const at = await listening(spy);
  await fetched(`http://${at}/path%20with?signature=a%2Fb`, 2);
  spy.close();
  expect(seen).toBe(`GET /path%20with?signature=a%2Fb HTTP/1.1\r\nhost: ${at}\r\n\r\n`);
});

/** For localhost, for a hundred years, for this test alone. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUT08Qqx5FPaQO4Zjy3cY0taHApXswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTA0MjExMVoYDzIxMjYxMTAx
MDQyMTExWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASzwWbNWtAZy91uX/Cfel2jQYIc0mbDSfrEUVGn3f7qQHZ4xrInRZ3j
gBwJDsawdBO+fYgcbPbqU8U2KzBQ1n6ko2kwZzAdBgNVHQ4EFgQUn78DiuHK4v0P
FroC6Jpe9k6bXtAwHwYDVR0jBBgwFoAUn78DiuHK4v0PFroC6Jpe9k6bXtAwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIgURh7Memm1fk+0MovxyQTZjvV9kS6kdrDFRphGfdZ6N0CIQDC2qpiyNv1
Co5q/gBxYDwQ5RH/Xb4lTlF85akPBrTisg==
-----END CERTIFICATE-----
`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgN6U51oDEHPSsIjrd
ZdVt62GMUuYT8CJbtaQRWFVrfcahRANCAASzwWbNWtAZy91uX/Cfel2jQYIc0mbD
SfrEUVGn3f7qQHZ4xrInRZ3jgBwJDsawdBO+fYgcbPbqU8U2KzBQ1n6k
-----END PRIVATE KEY-----
`;

/** Asks the thread for one block, in a process that trusts the certificate of this test, or does not. */
async function overTls(url: string, environment: Record<string, string>): Promise<string> {
  const threadFile = new URL("../../../src/modal/transfers/block-thread.mjs", import.meta.url).href;
  const script = `
    import { openSync } from "node:fs";
    import { Worker } from "node:worker_threads";
    const thread = new Worker(new URL(${JSON.stringify(threadFile)}), { env: {}, execArgv: [] });
    const fd = openSync(${JSON.stringify(join(folder, "tls"))}, "w");
    thread.postMessage({ id: 1, task: { kind: "fetch", url: ${JSON.stringify(url)}, fd, position: 0, length: 5 } });
    thread.on("message", (reply) => { console.log(JSON.stringify(reply)); process.exit(); });
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  return await text(child.stdout);
}

test("TLS: the store's name is checked, and bytes come through", async () => {
  const trusted = join(folder, "ca.pem");
  await writeFile(trusted, CERTIFICATE);
  const server = createSecureServer({ cert: CERTIFICATE, key: KEY }, (_, response) => response.end("bytes"));
  const port = (await listening(server)).split(":")[1];
  try {
    const ours = { NODE_EXTRA_CA_CERTS: trusted };
    expect(await overTls(`https://localhost:${port}/`, ours)).toMatch(/"status":200,"storedBytes":5/u);
    expect(await overTls(`https://127.0.0.1:${port}/`, ours)).toMatch(
      /"code":"ERR_TLS_CERT_ALTNAME_INVALID"/u,
    );
    expect(await overTls(`https://localhost:${port}/`, {})).toMatch(/"code":"DEPTH_ZERO_SELF_SIGNED_CERT"/u);
  } finally {
    server.close();
  }
});
