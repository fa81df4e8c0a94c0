import type { Redis } from "ioredis";
import { z } from "zod";
import { cancelChannel, cancelRequested } from "./cancellation.ts";
import { readJson, type TellUnreadable } from "./unreadable.ts";

const messageSchema = z.tuple([z.string(), z.string()]);

/** How a worker hears of cancels. */
export interface CancelFeed {
  /** Hears what is pushed, until closed. */
  listen(onCancel: (queue: string, jobId: string) => void): Promise<void>;
  /** Which of these jobs carry the durable flag. */
  requested(queue: string, jobIds: readonly string[]): Promise<string[]>;
  close(): Promise<void>;
}

/** Listens on a connection of its own: a subscribed one can do nothing else. */
export function openCancelFeed(
  redis: Redis,
  prefix: string,
  { onError, onUnreadable }: { onError: (error: unknown) => void; onUnreadable: TellUnreadable },
): CancelFeed {
  const subscriber = redis.duplicate();
  subscriber.on("error", onError);
  return {
    async listen(onCancel) {
      subscriber.on("message", (_channel, text) => {
        const message = messageSchema.safeParse(readJson(text));
        if (message.success) onCancel(...message.data);
        else onUnreadable("cancel", "");
      });
      await subscriber.subscribe(cancelChannel(prefix));
    },
    requested: async (queue, jobIds) => await cancelRequested(redis, { prefix, queue, jobIds }),
    async close() {
      subscriber.disconnect();
      await Promise.resolve();
    },
  };
}
