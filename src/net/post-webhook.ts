import { createHmac } from "node:crypto";
import { request } from "undici";
import { toMirumojiError } from "../job/errors.ts";
import type { Outbound } from "./outbound.ts";

export interface SignedPost {
  readonly url: string;
  /** Of the event, the same at each try: receivers know by it what they have had. */
  readonly id: string;
  /** Epoch seconds of this try; receivers refuse old ones. */
  readonly seconds: number;
  readonly body: string;
  /** `whsec_...`; each of them signs. */
  readonly secrets: readonly string[];
  readonly timeoutMs: number;
  readonly userAgent: string;
}

/** Answer of a receiver, or the reason why there was none. Bodies are not kept: they may be of somebody's inside. */
export type Posted =
  | { readonly kind: "taken" }
  /** 410: the receiver wants no more of it. */
  | { readonly kind: "gone"; readonly error: string }
  | { readonly kind: "failed"; readonly error: string; readonly askedMs: number };

/** More than this of an answer is not read. */
const ANSWER_BYTES = 65_536;

/** Sends a webhook by the Standard Webhooks specification. Redirects are not followed: only 2xx is a success. */
export async function postWebhook({ agent }: Outbound, post: SignedPost): Promise<Posted> {
  const signal = AbortSignal.timeout(post.timeoutMs);
  try {
    const { statusCode, headers, body } = await request(post.url, {
      dispatcher: agent,
      method: "POST",
      body: post.body,
      signal,
      headers: {
        "content-type": "application/json",
        "user-agent": post.userAgent,
        "webhook-id": post.id,
        "webhook-timestamp": String(post.seconds),
        "webhook-signature": post.secrets.map((secret) => signature(secret, post)).join(" "),
      },
    });
    await body.dump({ limit: ANSWER_BYTES, signal }).catch(() => undefined);
    if (statusCode >= 200 && statusCode < 300) return { kind: "taken" };
    const error = `the receiver answered ${statusCode}`;
    if (statusCode === 410) return { kind: "gone", error };
    return { kind: "failed", error, askedMs: retryAfterMs(headers["retry-after"]) };
  } catch (error) {
    return { kind: "failed", error: reasonOf(error, post.timeoutMs), askedMs: 0 };
  }
}

/** `v1,` and the HMAC of ID, time and body. */
function signature(secret: string, { id, seconds, body }: SignedPost): string {
  const key = Buffer.from(secret.replace(/^whsec_/u, ""), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64")}`;
}

function retryAfterMs(header: string | string[] | undefined): number {
  const seconds = Number(header);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}

/** Without addresses and paths: it is shown to those who may not know the URL. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === "TimeoutError")
    return `no answer within ${timeoutMs / 1000} s`;
  const { code, message } = toMirumojiError(error);
  if (code === "URL_NOT_ALLOWED") return `${code}: ${message}`;
  const errno: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
  return `no connection (${typeof errno === "string" ? errno : "unknown reason"})`;
}
