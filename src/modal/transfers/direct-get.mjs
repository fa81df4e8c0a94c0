// HTTP GET with one reused buffer per connection. `node:http` and `fetch` allocate memory for each piece of a body,
// which costs more than reading and writing it (figures in docs/benchmarks.md). Plain JavaScript, because the block
// thread uses it.
import { HTTPParser } from "http-parser-js";
import { connect as connectPlain, isIP } from "node:net";
import { connect as connectTls } from "node:tls";

/** Longest time without a byte before the exchange fails. */
const IDLE_TIMEOUT_MS = 120_000;

/** Size of one read; larger ones were not faster. */
const BUFFER_BYTES = 64 * 1024;

/** Failure of a reused connection that the store had closed in the meantime; another connection may work. */
export class StaleConnectionError extends Error {}

/** Kept connections by origin, the one that was used last at the end. */
const idle = new Map();

/**
 * One GET on a connection that is kept. `onBody` gets each piece of a successful answer's body, with the answer; a
 * piece is overwritten when `onBody` returns. What it throws ends the exchange. Gives status and headers (names in
 * small letters, the last of those that come twice).
 */
export async function directGet(url, { onBody, signal }) {
  signal.throwIfAborted();
  const target = new URL(url);
  const kept = idle.get(target.origin)?.pop();
  const connection = kept ?? new Connection(target);
  return await connection.get(target, { onBody, signal });
}

class Connection {
  #socket;
  #parser = new HTTPParser(HTTPParser.RESPONSE);
  #origin;
  /** The exchange under way. */
  #exchange;
  #uses = 0;

  constructor({ origin, protocol, hostname, port }) {
    this.#origin = origin;
    const isSecure = protocol === "https:";
    // IPv6 addresses stand in brackets in a URL, and nowhere else.
    const host = hostname.replace(/^\[|\]$/gu, "");
    const onread = {
      buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES),
      callback: (length, buffer) => this.#read(buffer.subarray(0, length)),
    };
    const to = { host, port: port === "" ? (isSecure ? 443 : 80) : Number(port), onread };
    const socket = isSecure
      ? connectTls({ ...to, servername: isIP(host) === 0 ? host : "", ALPNProtocols: ["http/1.1"] })
      : connectPlain(to);
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(IDLE_TIMEOUT_MS, () => {
      this.#fail(new Error(`nothing moved for ${IDLE_TIMEOUT_MS / 1000} s`));
    });
    socket.on("error", (error) => this.#lost(error));
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#lost(new Error("the answer was cut off")));
    this.#parser[HTTPParser.kOnHeadersComplete] = (info) => this.#begin(info);
    this.#parser[HTTPParser.kOnBody] = (piece) => this.#take(piece);
    this.#parser[HTTPParser.kOnMessageComplete] = () => this.#complete();
  }

  async get({ pathname, search, host }, { onBody, signal }) {
    const stop = () => this.#fail(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    this.#uses += 1;
    try {
      return await new Promise((resolve, reject) => {
        this.#exchange = { resolve, reject, onBody, answer: undefined, isKept: false };
        this.#socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      });
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #read(bytes) {
    if (this.#exchange === undefined) return this.#fail(new Error("bytes came that nobody asked for"));
    const read = this.#parser.execute(bytes);
    if (read instanceof Error) this.#fail(read);
  }

  #begin({ statusCode, headers, shouldKeepAlive }) {
    if (statusCode < 200 || this.#exchange === undefined) return;
    const named = Object.create(null);
    for (let at = 0; at < headers.length; at += 2) named[headers[at].toLowerCase()] = headers[at + 1];
    this.#exchange.answer = { status: statusCode, headers: named };
    this.#exchange.isKept = shouldKeepAlive;
  }

  #take(piece) {
    const { answer, onBody } = this.#exchange ?? {};
    if (answer === undefined || answer.status >= 300) return;
    try {
      onBody(piece, answer);
    } catch (error) {
      this.#fail(error);
    }
  }

  #complete() {
    const { answer, isKept, resolve } = this.#exchange ?? {};
    // An interim answer (1xx), or what is left in the buffer of an exchange that has failed.
    if (answer === undefined) return;
    this.#exchange = undefined;
    resolve(answer);
    // With bytes left over, the next answer on this connection would begin with them.
    if (!isKept || this.#parser.offset < this.#parser.end) return void this.#socket.destroy();
    const kept = idle.get(this.#origin) ?? [];
    kept.push(this);
    idle.set(this.#origin, kept);
  }

  /** An answer without a length ends with its connection. */
  #ended() {
    this.#parser.finish();
    this.#lost(new Error("the answer was cut off"));
  }

  /** Handles the end of the connection by the other side. */
  #lost(error) {
    const isStale = this.#uses > 1 && this.#exchange?.answer === undefined;
    this.#fail(isStale ? new StaleConnectionError(error.message, { cause: error }) : error);
  }

  #fail(error) {
    this.#forget();
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.reject(error);
  }

  #forget() {
    const kept = (idle.get(this.#origin) ?? []).filter((connection) => connection !== this);
    if (kept.length > 0) idle.set(this.#origin, kept);
    else idle.delete(this.#origin);
  }
}
