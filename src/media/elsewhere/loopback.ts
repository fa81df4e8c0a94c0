import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RemoteSource } from "./source.ts";
import { openWindow, type Window } from "./window.ts";

/** An input on a port of this machine, for ffmpeg, which then has no name to resolve and nowhere to be led to. */
export interface Loopback extends AsyncDisposable {
  readonly url: string;
  /** Throws the error that ended the reading of the input: ffmpeg takes it for the end of the file. */
  assertWell(): void;
}

/** Serves a source that has ranges. Its URL cannot be guessed, and is good until it is disposed of. */
export async function openLoopback(source: RemoteSource, signal: AbortSignal): Promise<Loopback> {
  const path = `/${randomUUID()}`;
  const size = source.identity.sizeBytes ?? 0;
  const ended = new AbortController();
  const window = openWindow(source, AbortSignal.any([signal, ended.signal]));
  let failure: Error | null = null;
  const server = createServer((request, response) => {
    if (request.url !== path || request.method !== "GET") {
      response.writeHead(404).end();
      return;
    }
    answer(request, response, { window, size }).catch((error: unknown) => {
      failure ??= error instanceof Error ? error : new Error(String(error));
      response.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${path}`,
    assertWell() {
      if (failure !== null) throw failure;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      ended.abort();
      await window.close().catch(() => undefined);
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { window, size }: { window: Window; size: number },
): Promise<void> {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? "") ?? [];
  const start = Number(from ?? 0);
  const last = Math.min(size - 1, to === undefined || to === "" ? size - 1 : Number(to));
  if (start > last) {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
    return;
  }
  response.writeHead(from === undefined ? 200 : 206, {
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
    "content-length": last - start + 1,
    ...(from === undefined ? {} : { "content-range": `bytes ${start}-${last}/${size}` }),
  });
  let left = last - start + 1;
  for await (const piece of window.from(start)) {
    if (response.destroyed) return;
    const part = piece.subarray(0, left);
    left -= part.length;
    if (!response.write(part)) await drained(response);
    if (left === 0) break;
  }
  // A program that wants more than there is must not wait for it.
  if (left === 0) response.end();
  else response.destroy();
}

async function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });
}
