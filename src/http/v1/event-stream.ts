import type { FastifyReply, FastifyRequest } from "fastify";

export interface ServerSentEvent {
  /** The place to go on from. */
  readonly id: string;
  readonly event: string;
  /** Of two events with the same key that wait for a slow reader, the newer one is enough. */
  readonly key: string;
  readonly data: unknown;
}

export interface EventStream {
  send(event: ServerSentEvent): void;
  /** Sends what waits, then closes. */
  end(): void;
  /** Called once, when nobody reads any more. */
  onClose(action: () => void): void;
}

/** Proxies and browsers give up on connections that say nothing for about a minute. */
const HEARTBEAT_MS = 15_000;

/**
 * Answers with server-sent events. A reader that is too slow costs no more than one event per key: newer ones take
 * the place of those that still wait.
 */
export function openEventStream(request: FastifyRequest, reply: FastifyReply): EventStream {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    ...reply.getHeaders(),
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
    // Told to proxies of nginx' kind, which would hold events back otherwise.
    "x-accel-buffering": "no",
  } as Record<string, string>);
  raw.write(": follows\n\n");
  const waiting = new Map<string, ServerSentEvent>();
  const closers: (() => void)[] = [];
  let isEnding = false;
  const flush = () => {
    for (const [key, event] of waiting) {
      if (raw.writableNeedDrain) return;
      waiting.delete(key);
      raw.write(`id: ${event.id}\nevent: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`);
    }
    if (isEnding) raw.end();
  };
  const timer = setInterval(() => {
    if (!raw.writableNeedDrain) raw.write(": still here\n\n");
  }, HEARTBEAT_MS);
  raw.on("drain", flush);
  raw.on("error", () => raw.destroy());
  raw.on("close", () => {
    clearInterval(timer);
    for (const close of closers.splice(0)) close();
  });
  request.raw.socket.setNoDelay(true);
  return {
    send(event) {
      if (isEnding || raw.destroyed) return;
      // Behind the others: the order of places must not run backwards.
      waiting.delete(event.key);
      waiting.set(event.key, event);
      flush();
    },
    end() {
      isEnding = true;
      flush();
    },
    onClose(action) {
      if (raw.destroyed || raw.closed) action();
      else closers.push(action);
    },
  };
}
