import { setTimeout as sleep } from "node:timers/promises";
import { createParser } from "eventsource-parser";
import type { JobView } from "../job/summary.ts";
import { toMirumojiError } from "../job/errors.ts";
import type { JobSource } from "./follow-jobs.ts";
import { askApi, type HttpTarget } from "./http-exchange.ts";

type Listener = Parameters<JobSource["listen"]>[0];

/** The API says something each 15 s; a connection that is silent for longer is dead. */
const SILENCE_MS = 40_000;
const RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;

/** The changes of jobs over one connection, whatever the number of jobs that are followed. It is open while any is. */
export interface HttpFeed {
  listen(listener: Listener): Promise<() => void>;
  close(): void;
}

export function createHttpFeed(target: HttpTarget): HttpFeed {
  const byJob = new Map<string, Set<Listener>>();
  let running: AbortController | null = null;
  let opened: Promise<void> = Promise.resolve();

  const gap = () => {
    for (const listeners of byJob.values()) for (const listener of listeners) listener.onGap();
  };
  const hear = (event: string | undefined, data: string) => {
    if (event === "gap") return gap();
    const job = JSON.parse(data) as JobView;
    for (const listener of byJob.get(job.id) ?? []) listener.onChange({ job });
  };
  const read = async (
    lastId: string | null,
    signal: AbortSignal,
    onOpen: () => void,
    onId: (id: string) => void,
  ) => {
    const limit = new AbortController();
    const watchdog = setTimeout(() => limit.abort(), SILENCE_MS);
    try {
      const response = await askApi(target, "/events", {
        headers: { accept: "text/event-stream", ...(lastId === null ? {} : { "last-event-id": lastId }) },
        signal: AbortSignal.any([signal, limit.signal]),
      });
      onOpen();
      const parser = createParser({
        onEvent: ({ id, event, data }) => {
          if (id !== undefined) onId(id);
          hear(event, data);
        },
      });
      const text = new TextDecoder();
      for await (const chunk of response.body ?? []) {
        watchdog.refresh();
        parser.feed(text.decode(chunk as Uint8Array, { stream: true }));
      }
    } finally {
      clearTimeout(watchdog);
    }
  };
  const follow = async (
    controller: AbortController,
    onFirst: (error: Error | null) => void,
  ): Promise<void> => {
    const { signal } = controller;
    let lastId: string | null = null;
    let isFirst = true;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        await read(
          lastId,
          signal,
          () => {
            if (isFirst) onFirst(null);
            // Without a place to go on from, what happened in between is not known.
            else if (lastId === null) gap();
            isFirst = false;
            failures = 0;
          },
          (id) => {
            lastId = id;
          },
        );
      } catch (error) {
        if (signal.aborted) return;
        if (isFirst) {
          onFirst(toMirumojiError(error));
          return;
        }
      }
      await sleep(Math.min(RETRY_MS * 2 ** failures, LONGEST_RETRY_MS), undefined, { signal }).catch(
        () => undefined,
      );
    }
  };
  const open = (): Promise<void> => {
    const controller = new AbortController();
    running = controller;
    return new Promise((resolve, reject) => {
      void follow(controller, (error) => {
        if (error === null) return resolve();
        if (running === controller) running = null;
        reject(error);
      });
    });
  };
  const close = () => {
    running?.abort();
    running = null;
  };
  return {
    async listen(listener) {
      const listeners = byJob.get(listener.jobId) ?? new Set();
      byJob.set(listener.jobId, listeners);
      listeners.add(listener);
      const unlisten = () => {
        listeners.delete(listener);
        if (listeners.size === 0 && byJob.get(listener.jobId) === listeners) byJob.delete(listener.jobId);
        if (byJob.size === 0) close();
      };
      if (running === null) opened = open();
      await opened.catch((error: unknown) => {
        unlisten();
        throw error;
      });
      return unlisten;
    },
    close,
  };
}
