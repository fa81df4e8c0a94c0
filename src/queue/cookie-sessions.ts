import { createHash, randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import type { ApiKey, ApiKeys } from "./api-keys.ts";
import { apiKeys } from "./keys.ts";

/** How long a session lives that is not used. */
const IDLE_SECONDS = 12 * 3600;

/** Short-lived stand-ins for a key, for what can send a cookie and no header: players and downloads of a browser. */
export interface CookieSessions {
  /** Opens a session; the token is kept as a hash only. */
  open(keyId: string): Promise<string>;
  /** The key that the token stands for; null when it is over, or the key is revoked. */
  verify(token: string): Promise<ApiKey | null>;
  close(token: string): Promise<void>;
}

export function openCookieSessions(redis: Redis, prefix: string, keys: ApiKeys): CookieSessions {
  const { session } = apiKeys(prefix);
  const keyOf = (token: string) => session(createHash("sha256").update(token).digest("hex"));
  return {
    async open(keyId) {
      const token = randomBytes(32).toString("base64url");
      await redis.set(keyOf(token), keyId, "EX", IDLE_SECONDS);
      return token;
    },
    async verify(token) {
      const keyId = await redis.getex(keyOf(token), "EX", IDLE_SECONDS);
      return keyId === null ? null : await keys.byId(keyId);
    },
    async close(token) {
      await redis.del(keyOf(token));
    },
  };
}
