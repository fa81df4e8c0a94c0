import { type ErrorCode, MirumojiError } from "../job/errors.ts";

/** Words of Redis that say what is wrong with it, with our code and the remedy. */
const REFUSALS: readonly (readonly [words: RegExp, code: ErrorCode, remedy: string])[] = [
  [
    /\bREADONLY\b|\bMASTERDOWN\b/u,
    "REDIS_READONLY",
    "this Redis is a replica; let REDIS_URL name the primary, its Sentinels (redis+sentinel://) or the cluster (redis+cluster://)",
  ],
  [
    /\bOOM command not allowed/u,
    "REDIS_OUT_OF_MEMORY",
    "Redis has no memory left; raise maxmemory, or remove what else is in it",
  ],
  [
    /\bNOPERM\b|\bWRONGPASS\b|\bNOAUTH\b|The user executing the script can't/u,
    "REDIS_NO_PERMISSION",
    "Redis refuses this user; docs/operations.md lists the rights that it needs",
  ],
  [
    /^MOVED \d/u,
    "REDIS_MOVED",
    "this Redis is a node of a cluster; let REDIS_URL begin with redis+cluster://",
  ],
  [
    /\bNOREPLICAS\b/u,
    "REDIS_NO_REPLICAS",
    "too few replicas are connected; bring them back, or lower min-replicas-to-write of Redis",
  ],
];

/** Whether Redis says that it is no primary, so that another connection may lead to one. */
export function isNoPrimary(error: Error): boolean {
  return REFUSALS[0]?.[0].test(error.message) === true || error.message.startsWith("UNBLOCKED");
}

/** The typed error behind words of Redis; null when they say nothing about Redis itself. */
export function redisRefusal(error: Error): MirumojiError | null {
  if (error instanceof MirumojiError) return error;
  for (const [words, code, remedy] of REFUSALS) {
    // Redis' own words stay in it: libraries between here and the caller look for them.
    if (words.test(error.message))
      return new MirumojiError(code, `${remedy} (${error.message})`, { cause: error });
  }
  return null;
}
