import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { z } from "zod";
import { batchStatus, batchViewSchema } from "../job/batch.ts";
import { MirumojiError } from "../job/errors.ts";
import type { BatchView } from "../job/batch.ts";
import type { JobView } from "../job/summary.ts";
import { WEBHOOK_EVENTS } from "../job/webhooks.ts";
import { recordOf } from "./job-reader.ts";
import { parseJson, viewOf } from "./job-view.ts";
import { webhookKeys } from "./keys.ts";
import { runScript } from "./scripts.ts";

const deliverySchema = z.object({
  v: z.literal(1),
  /** Of the delivery: the event's, and which receiver. */
  id: z.string(),
  /** The same at each try. */
  eventId: z.string(),
  lane: z.string(),
  event: z.enum(WEBHOOK_EVENTS),
  /** When the job ended, and from when on the 24 hours count; epoch milliseconds. */
  at: z.number(),
  since: z.number(),
  tries: z.int(),
  /** The API key that submitted the job, whose secrets sign; absent for the pool's own. */
  owner: z.string().optional(),
  /** Absent where the receiver is that of the API key. */
  url: z.string().optional(),
  lastError: z.string().optional(),
  /** The batch that ended; `job` only fills a place then. */
  batch: batchViewSchema.omit({ status: true }).optional(),
  job: z.object({
    id: z.string(),
    name: z.string(),
    data: z.string(),
    progress: z.string(),
    returnvalue: z.string(),
    failedReason: z.string(),
    timestamp: z.string(),
    processedOn: z.string(),
    finishedOn: z.string(),
  }),
});

/** An event on its way to one receiver. */
export type Delivery = z.output<typeof deliverySchema>;

/** Right to send the first event of a lane, until its lease is over. */
export interface Claim {
  readonly token: string;
  readonly delivery: Delivery;
}

export type DeliveryEnd =
  | { readonly result: "delivered" }
  | { readonly result: "later"; readonly waitMs: number; readonly error: string }
  | { readonly result: "dead"; readonly error: string };

/** Events of ended jobs that are still to be told. They come into it with the write that ends the job. */
export interface Outbox {
  /** Takes what is due, for one sender; the first of each lane only. */
  claim(count: number, leaseMs: number): Promise<Claim[]>;
  /** False when another sender has it by now. */
  settle(claim: Claim, end: DeliveryEnd): Promise<boolean>;
  /** Keeps a claim for another lease. */
  renew(claim: Claim, leaseMs: number): Promise<void>;
  /** Leaves a claim without a try, for some time. */
  putBack(claim: Claim, waitMs: number): Promise<void>;
  /** The newest of those that were given up, or the oldest of those on their way. */
  list(which: "dead" | "pending", limit: number): Promise<Delivery[]>;
  /**
   * Gives one that was given up another 24 hours.
   *
   * @throws MirumojiError `WEBHOOK_NOT_FOUND`
   */
  replay(id: string): Promise<void>;
  figures(): Promise<OutboxFigures>;
}

export interface OutboxFigures {
  readonly pending: number;
  readonly dead: number;
  /** Epoch milliseconds of the oldest event on its way; null without one. */
  readonly oldestAt: number | null;
}

export function openOutbox(redis: Redis, prefix: string): Outbox {
  const keys = webhookKeys(prefix);
  const laneOf = (lane: string) => ({ ...keys, lane: `${keys.lanes}${lane}` });
  const read = async (ids: readonly string[]) => {
    if (ids.length === 0) return [];
    const texts = await redis.hmget(keys.deliveries, ...ids);
    return texts.flatMap((text) => deliverySchema.safeParse(parseJson(text)).data ?? []);
  };
  return {
    async claim(count, leaseMs) {
      const token = randomUUID();
      const answer = await runScript(redis, "claim-deliveries", {
        keys,
        args: { token, leaseMs: String(leaseMs), count: String(count), lanePrefix: keys.lanes },
      });
      return answer.flatMap((text, index) => {
        if (index % 2 === 0) return [];
        const { data } = deliverySchema.safeParse(parseJson(text));
        return data === undefined ? [] : [{ token, delivery: data }];
      });
    },
    async settle({ token, delivery }, end) {
      const tried = {
        ...delivery,
        tries: delivery.tries + 1,
        ...(end.result === "delivered" ? {} : { lastError: end.error }),
      };
      const answer = await runScript(redis, "settle-delivery", {
        keys: laneOf(delivery.lane),
        args: {
          token,
          lane: delivery.lane,
          id: delivery.id,
          result: end.result,
          delivery: JSON.stringify(tried),
          waitMs: end.result === "later" ? String(end.waitMs) : undefined,
        },
      });
      return answer === "written";
    },
    async renew({ token, delivery: { lane } }, leaseMs) {
      await runScript(redis, "renew-claim", { keys, args: { token, lane, leaseMs: String(leaseMs) } });
    },
    async putBack({ token, delivery }, waitMs) {
      const { lane, id } = delivery;
      await runScript(redis, "settle-delivery", {
        keys: laneOf(lane),
        args: {
          token,
          lane,
          id,
          result: "later",
          delivery: JSON.stringify(delivery),
          waitMs: String(waitMs),
        },
      });
    },
    async list(which, limit) {
      const last = String(limit - 1);
      return await read(
        which === "dead"
          ? await redis.zrevrange(keys.dead, 0, last)
          : await redis.zrange(keys.pending, "0", last),
      );
    },
    async replay(id) {
      const [delivery] = await read([id]);
      const [seconds] = await redis.time();
      const answer =
        delivery === undefined
          ? "missing"
          : await runScript(redis, "replay-delivery", {
              keys: laneOf(delivery.lane),
              args: {
                lane: delivery.lane,
                id,
                delivery: JSON.stringify({ ...delivery, tries: 0, since: Number(seconds) * 1000 }),
              },
            });
      if (answer === "missing") {
        throw new MirumojiError(
          "WEBHOOK_NOT_FOUND",
          `no webhook ${JSON.stringify(id)} was given up; \`webhooks list\` shows those that were`,
        );
      }
    },
    async figures() {
      const [pending, dead, oldest] = await Promise.all([
        redis.zcard(keys.pending),
        redis.zcard(keys.dead),
        redis.zrange(keys.pending, "0", "0", "WITHSCORES"),
      ]);
      return { pending, dead, oldestAt: oldest[1] === undefined ? null : Number(oldest[1]) };
    },
  };
}

/** The message for a receiver: the end of a job, or of a batch. */
export function toldBy(delivery: Delivery): { readonly type: string; readonly data: JobView | BatchView } {
  const { batch, event } = delivery;
  if (batch === undefined) return { type: `job.${event}`, data: endedJob(delivery) };
  return { type: "batch.ended", data: { ...batch, status: batchStatus(batch) } };
}

/** The job as it ended, by what Redis had of it in that moment. */
function endedJob({ event, job }: Delivery): JobView {
  const { id, name, data, progress, returnvalue, failedReason, timestamp, processedOn, finishedOn } = job;
  const fields = [name, data, progress, returnvalue, failedReason, timestamp, processedOn, finishedOn];
  const present = fields.map((field) => (field === "" ? null : field));
  return viewOf(recordOf(id, present), event === "completed" ? "completed" : "failed");
}
