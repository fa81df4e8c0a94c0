import { createParser } from "./vendor/eventsource-parser.js";
import { ApiError, call } from "./api.js";

/** @typedef {import("../../../job/summary.ts").JobView} JobView */
/** @typedef {{ onJob: (job: JobView) => void, onGap: () => void }} Listener */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** @type {Set<Listener>} */
const listeners = new Set();
/** @type {AbortController | null} */
let running = null;

/**
 * Hears of all changes, by one connection of this tab. `onGap` says that some may have been missed: look again.
 *
 * @param {Listener} listener
 * @returns {() => void} Ends it.
 */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @param {(isLive: boolean) => void} onState */
export function startEvents(onState) {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  void follow(controller.signal, onState);
}

export function stopEvents() {
  running?.abort();
  running = null;
}

/**
 * @param {AbortSignal} signal
 * @param {(isLive: boolean) => void} onState
 */
async function follow(signal, onState) {
  let last = "";
  let waitMs = FIRST_WAIT_MS;
  let isFirst = true;
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      if (id !== undefined) last = id;
      if (event === "gap") for (const { onGap } of listeners) onGap();
      else if (event === "job") for (const { onJob } of listeners) onJob(JSON.parse(data));
    },
  });
  while (!signal.aborted) {
    try {
      // EventSource cannot send the key, and an address is no place for one.
      const headers = last === "" ? {} : { "last-event-id": last };
      const answer = await call("events", { headers, signal });
      onState(true);
      waitMs = FIRST_WAIT_MS;
      if (!isFirst && last === "") for (const { onGap } of listeners) onGap();
      isFirst = false;
      await read(answer, (text) => parser.feed(text));
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && [401, 403].includes(error.status))) return;
    }
    parser.reset();
    onState(false);
    await pause(waitMs * (0.75 + Math.random() / 2), signal);
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
  }
}

/**
 * @param {Response} answer
 * @param {(text: string) => void} onText
 */
async function read({ body }, onText) {
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || value === undefined) return;
    onText(value);
  }
}

/**
 * Waits, but no longer than until the network is there again.
 *
 * @param {number} ms
 * @param {AbortSignal} signal
 */
async function pause(ms, signal) {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
    addEventListener("online", resolve, { once: true, signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}
