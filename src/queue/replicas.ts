import type { Redis } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import { closeRedis } from "./connection.ts";
import { redisRefusal } from "./redis-refusal.ts";

/** How many replicas must have a write before what cannot be undone is done; `auto`: one, where there is any. */
export type WantedReplicas = number | "auto";

/** How often it is looked up whether there are replicas. */
const LOOK_MS = 5000;

/** The replicas of Redis, which are always a little behind. */
export interface Replicas {
  /**
   * Waits until enough replicas have all that the primary was told before, and `isThere` still holds on that primary.
   *
   * @throws MirumojiError `REDIS_NO_REPLICAS`
   */
  confirm(record: { readonly key: string; readonly field: string; readonly value: string }): Promise<void>;
  close(): void;
}

/** For a Redis whose replicas are not waited for. */
export const NO_REPLICAS: Replicas = {
  confirm: async () => await Promise.resolve(),
  close: () => undefined,
};

/**
 * Compares a field and, where it is as expected, writes something, so that `WAIT` on the same connection waits for it and
 * for all that came before.
 */
const TOUCH = `
if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call("SET", KEYS[2], "1", "PX", 60000)
return 1`;

/** Waits on a connection of its own: others' commands must not stand behind a `WAIT`. */
export function openReplicas(
  redis: Redis,
  options: {
    readonly prefix: string;
    readonly wanted: WantedReplicas;
    readonly waitMs: number;
    readonly onError: (error: unknown) => void;
  },
): Replicas {
  const { prefix, wanted, waitMs } = options;
  if (wanted === 0) return NO_REPLICAS;
  const own = redis.duplicate();
  own.on("error", options.onError);
  const touched = `${prefix}:confirmed`;
  let connected = 0;
  /** In a cluster the first key says which node is asked. */
  const look = async (): Promise<number> => {
    const answers = await own.pipeline().exists(touched).info("replication").exec();
    const info = String(answerOf(answers, 1));
    connected = Number(/^connected_slaves:(\d+)/mu.exec(info)?.[1] ?? 0);
    return connected;
  };
  const need = () => (wanted === "auto" ? Math.min(1, connected) : wanted);
  const lookAgain = () => void look().catch(options.onError);
  const timer = wanted === "auto" ? setInterval(lookAgain, LOOK_MS) : undefined;
  timer?.unref();
  if (wanted === "auto") own.on("ready", lookAgain);
  own.connect().catch(options.onError);
  return {
    async confirm({ key, field, value }) {
      const enough = need();
      if (enough === 0) return;
      const answers = await own
        .pipeline()
        .eval(TOUCH, 2, key, touched, field, value)
        .call("WAIT", enough, waitMs)
        .exec();
      if (answerOf(answers, 0) !== 1) {
        throw new MirumojiError("REDIS_NO_REPLICAS", "the primary that answers now has not what was written");
      }
      const reached = Number(answerOf(answers, 1));
      if (reached >= enough) return;
      // The only one may have left in this moment.
      if (wanted === "auto" && (await look()) === 0) return;
      throw new MirumojiError(
        "REDIS_NO_REPLICAS",
        `${reached} of ${enough} replicas had what was written after ${waitMs / 1000} s; no call is started before`,
      );
    },
    close() {
      clearInterval(timer);
      closeRedis(own);
    },
  };
}

function answerOf(answers: [Error | null, unknown][] | null, index: number): unknown {
  const [error, value] = answers?.[index] ?? [new Error("the connection was closed"), null];
  if (error !== null) {
    // A pipeline is not sent again when its connection was closed.
    const words = `Redis did not say whether replicas follow (${error.message})`;
    throw redisRefusal(error) ?? new MirumojiError("REDIS_UNAVAILABLE", words, { cause: error });
  }
  return value;
}
