// One exchange with a store behind a presigned URL, for the block thread. Plain JavaScript, as the thread is.
import { Agent, buildConnector } from "undici";

/** Longest time without a byte in either direction before the exchange fails. */
const IDLE_TIMEOUT_MS = 120_000;
/** More connections to one store are never used at once. */
const CONNECTIONS = 256;
const LONGEST_ANSWER_BYTES = 1024 * 1024;
const MOST_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** Failure of a reused connection that the store had closed in the meantime; another connection may work. */
export class StaleConnectionError extends Error {}

/** @param onConnected - called with the milliseconds that each new connection took */
export function openStores({ onConnected }) {
  const connect = buildConnector({ timeout: 30_000, autoSelectFamily: true });
  const agent = new Agent({
    connections: CONNECTIONS,
    pipelining: 1,
    headersTimeout: IDLE_TIMEOUT_MS,
    bodyTimeout: IDLE_TIMEOUT_MS,
    connect(options, callback) {
      const began = performance.now();
      connect(options, (error, socket) => {
        if (error === null) onConnected(performance.now() - began);
        callback(error, socket);
      });
    },
  });
  return {
    /**
     * Gives status, headers and, of a successful answer, the body.
     *
     * @param open - gives the body, anew for each redirection
     */
    async exchange(url, options) {
      let target = new URL(url);
      for (let redirects = 0; ; redirects++) {
        const answer = await once(agent, target, options);
        const { location } = answer.headers;
        if (!REDIRECTS.has(answer.status) || location === undefined || redirects >= MOST_REDIRECTS)
          return answer;
        target = new URL(location, target);
      }
    },
  };
}

async function once(agent, { origin, pathname, search }, { method, headers, open, signal }) {
  signal.throwIfAborted();
  return await new Promise((resolve, reject) => {
    const answer = { status: 0, headers: {}, body: [] };
    let length = 0;
    let controller;
    let isStale = false;
    const stop = () => {
      controller?.abort(signal.reason);
      reject(new Error("the exchange was stopped", { cause: signal.reason }));
    };
    const end = (settle, value) => {
      signal.removeEventListener("abort", stop);
      settle(value);
    };
    signal.addEventListener("abort", stop, { once: true });
    agent.dispatch(
      { origin, path: pathname + search, method, headers, body: open?.() ?? null },
      {
        onRequestStart(started) {
          controller = started;
          if (signal.aborted) controller.abort(signal.reason);
        },
        onResponseStart(_, status, received) {
          if (status < 200) return;
          answer.status = status;
          answer.headers = received;
        },
        onResponseData(started, piece) {
          if (answer.status >= 300) return;
          try {
            length += piece.length;
            if (length > LONGEST_ANSWER_BYTES)
              throw new Error(`the answer has more than ${LONGEST_ANSWER_BYTES} bytes`);
            answer.body.push(piece);
          } catch (error) {
            started.abort(error);
          }
        },
        onResponseEnd() {
          end(resolve, { ...answer, body: Buffer.concat(answer.body) });
        },
        onResponseError(_, error) {
          // A store may refuse before it has the whole body.
          if (answer.status >= 300) return end(resolve, { ...answer, body: Buffer.alloc(0) });
          isStale = answer.status === 0 && (error?.socket?.bytesRead ?? 0) > 0;
          end(reject, isStale ? new StaleConnectionError(error.message, { cause: error }) : error);
        },
      },
    );
  });
}
