import type { ErrorRow } from "./error-kinds.ts";

/** Errors of Redis and on the way there. */
export const REDIS_ERRORS = {
  REDIS_UNAVAILABLE: {
    kind: "storage",
    meaning: "Redis cannot be reached.",
    advice:
      "Check `REDIS_URL` and that Redis runs. Who waits for it does so for `MIRUMOJI_REDIS_RETRY` seconds.",
  },
  REDIS_READONLY: {
    kind: "storage",
    meaning: "The Redis that answers is a replica, or was demoted to one, and takes no writes.",
    advice:
      "Let `REDIS_URL` name the primary; where another one can be elected, the Sentinels (`redis+sentinel://`) or the cluster (`redis+cluster://`).",
  },
  REDIS_OUT_OF_MEMORY: {
    kind: "storage",
    meaning: "Redis has used all memory that it may use, and takes no writes.",
    advice:
      "Raise `maxmemory`, or remove what else is in this Redis; `maxmemory-policy` must stay `noeviction`. Jobs go on by themselves then.",
  },
  REDIS_NO_PERMISSION: {
    kind: "storage",
    meaning: "Redis does not take the user or password, or the user may not do what is needed.",
    advice:
      "Give the user the rights that [operations](operations.md#redis) lists; the message has Redis' words.",
  },
  REDIS_MOVED: {
    kind: "storage",
    meaning: "The Redis that answers is a node of a cluster, and the keys are on another node.",
    advice: "Let `REDIS_URL` begin with `redis+cluster://`.",
  },
  REDIS_NO_REPLICAS: {
    kind: "storage",
    meaning: "Fewer replicas have a write than must have it.",
    advice: "Bring the replicas back; else lower Redis' own `min-replicas-to-write`.",
  },
} as const satisfies Record<string, ErrorRow>;
