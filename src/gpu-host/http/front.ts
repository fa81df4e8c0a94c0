import type { FileHandle } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { Worker } from "node:worker_threads";
import type { Landed, Landing } from "../store/landing.ts";

/** Slow lines may take their time over a block. */
const REQUEST_TIMEOUT_MS = 60 * 60 * 1000;
/** Longer than clients keep an idle connection, so that they close it and never write into a closed one. */
const KEEP_ALIVE_MS = 75_000;

/** The client of an exchange disconnected, so that no answer can reach it. */
export class GoneError extends Error {}

/** Faults that tests inject into bytes on their way. */
export interface Disturbance {
  /** The first byte is changed. */
  readonly flips?: boolean;
  /** After so many bytes the line breaks. */
  readonly cutAfter?: number;
}

/** A request, and the ways to go on with it. All of them reject with `GoneError` when the other side has gone. */
export interface Exchange {
  readonly method: string;
  /** As it was sent. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** The body, as text; null when it is too long for that. */
  text(): Promise<string | null>;
  /** Hashes the body and writes it to its place. Rejects with node's own errors when it cannot be written. */
  receive(landing: Landing, disturbance?: Disturbance): Promise<Landed>;
  /** Answers with a part of a file. */
  send(
    file: FileHandle,
    range: { readonly start: number; readonly length: number },
    disturbance?: Disturbance,
  ): Promise<void>;
  answer(status: number, body: string, headers?: Readonly<Record<string, string>>): Promise<void>;
  /** Hangs up. */
  drop(): Promise<void>;
}

/** A thread that listens on a port of its own. */
export interface Front {
  readonly port: number;
  /** Hangs up on everybody. */
  close(): Promise<void>;
}

interface Message {
  readonly port?: number;
  readonly failed?: { readonly message: string; readonly code: string | undefined };
  readonly id?: number;
  readonly opened?: { readonly method: string; readonly url: string; readonly headers: IncomingHttpHeaders };
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly code: string | undefined; readonly isGone: boolean };
}

/**
 * Starts a thread that speaks HTTP. Sockets are read, hashed, written to disk and served there: more than one core
 * takes part, and the main thread only gives orders.
 *
 * @throws Error of the socket when the port cannot be opened
 */
export async function openFront({
  host,
  port: wanted,
  onExchange,
}: {
  readonly host: string;
  readonly port: number;
  readonly onExchange: (exchange: Exchange) => void;
}): Promise<Front> {
  const workerData = { host, port: wanted, keepAliveMs: KEEP_ALIVE_MS, requestTimeoutMs: REQUEST_TIMEOUT_MS };
  const worker = new Worker(new URL("./front-thread.mjs", import.meta.url), {
    execArgv: [],
    env: {},
    workerData,
  });
  const orders = new Map<number, Order>();
  let isClosed = false;
  const give = async <R>(id: number, kind: string, order: object = {}): Promise<R> =>
    await new Promise<R>((resolve, reject) => {
      if (isClosed) throw new GoneError("the host is closing");
      // An exchange has one order at a time.
      orders.set(id, { resolve, reject });
      worker.postMessage({ id, kind, order });
    });
  const finish = (id: number, { result, error }: Message): void => {
    const order = orders.get(id);
    orders.delete(id);
    if (error === undefined) return order?.resolve(result as never);
    const { message, code, isGone } = error;
    order?.reject(isGone ? new GoneError(message) : Object.assign(new Error(message), { code }));
  };
  const port = await new Promise<number>((resolve, reject) => {
    worker.once("error", reject);
    worker.on("message", (message: Message) => {
      const { id = 0, opened, failed } = message;
      if (message.port !== undefined) {
        // From now on an error of the thread is the end of the host, as one of the main thread would be.
        worker.off("error", reject);
        return resolve(message.port);
      }
      if (failed !== undefined)
        return reject(Object.assign(new Error(failed.message), { code: failed.code }));
      if (opened === undefined) return finish(id, message);
      return onExchange(exchangeOf(opened, async (kind, order) => await give(id, kind, order)));
    });
  }).catch(async (error: unknown) => {
    await worker.terminate();
    throw error;
  });
  return {
    port,
    close: async () => {
      isClosed = true;
      await worker.terminate();
      for (const { reject } of orders.values()) reject(new GoneError("the host is closing"));
      orders.clear();
    },
  };
}

interface Order {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

function exchangeOf(
  { method, url, headers }: NonNullable<Message["opened"]>,
  give: <R>(kind: string, order?: object) => Promise<R>,
): Exchange {
  return {
    method,
    url,
    headers,
    text: async () => await give<string | null>("text"),
    receive: async ({ file, ...landing }, disturbance) =>
      await give<Landed>("receive", { ...landing, fd: file?.fd, ...disturbance }),
    send: async ({ fd }, range, disturbance) => await give("send", { fd, ...range, ...disturbance }),
    answer: async (status, body, more = {}) => await give("answer", { status, body, headers: more }),
    drop: async () => await give("drop"),
  };
}
