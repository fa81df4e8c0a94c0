import { setTimeout as sleep } from "node:timers/promises";
import { nextTryMs, shownUrl } from "../job/webhooks.ts";
import type { Outbound } from "../net/outbound.ts";
import { type Posted, postWebhook } from "../net/post-webhook.ts";
import type { ApiKeys } from "../queue/api-keys.ts";
import { type Claim, type DeliveryEnd, type Outbox, toldBy } from "../queue/outbox.ts";
import type { WebhookSecrets } from "../queue/webhook-secrets.ts";
import { ReceiverSlots } from "./receiver-slots.ts";
import { redactValue } from "../telemetry/redact.ts";

/** A receiver must have answered by then. */
const TRY_MS = 15_000;
const POLL_MS = 1000;
const SLOTS = 64;
/** How long a sender that stops waits for what it has begun. */
const STOP_MS = 5000;

/** How a try ended: `failed` is tried again, `dead` is not. */
export type TryOutcome = "delivered" | "failed" | "dead";

export interface SenderOptions {
  readonly outbox: Outbox;
  readonly keys: Pick<ApiKeys, "webhookOf">;
  readonly secrets: WebhookSecrets;
  readonly outbound: Outbound;
  /** How long a sender that is not heard of keeps what it has in hand. */
  readonly leaseMs: number;
  readonly userAgent: string;
  readonly redact: (text: string) => string;
  /** Hears of every try; `to` is the part of the URL that may be shown. */
  readonly onTry: (ended: {
    readonly outcome: TryOutcome;
    readonly jobId: string;
    readonly eventId: string;
    readonly to: string;
    readonly error: string | null;
  }) => void;
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
  readonly random: () => number;
}

/**
 * Sends the webhooks of the outbox, in any number of processes: what one has in hand the others leave alone until its
 * lease is over, so that an event is sent again, with the same ID, when a sender dies over it.
 */
export function startWebhookSender(options: SenderOptions): { stop: () => Promise<void> } {
  const { outbox, leaseMs, onError } = options;
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  const inHand = new Set<Claim>();
  const receivers = new ReceiverSlots();

  const sendOne = async (claim: Claim) => {
    const { delivery } = claim;
    const url = delivery.url ?? (await keyUrl(options, delivery.owner));
    const to = url === null ? "(no receiver)" : shownUrl(url);
    if (!(await receivers.enter(to))) {
      await outbox.putBack(claim, POLL_MS);
      return;
    }
    try {
      if (stopping.signal.aborted) {
        await outbox.putBack(claim, 0);
        return;
      }
      const end = url === null ? NO_RECEIVER : await trySending(options, claim, url);
      const isMine = await outbox.settle(claim, end);
      const outcome = end.result === "later" ? "failed" : end.result;
      const error = end.result === "delivered" ? null : end.error;
      if (isMine) options.onTry({ outcome, jobId: delivery.job.id, eventId: delivery.eventId, to, error });
    } finally {
      receivers.leave(to);
    }
  };
  const round = async (): Promise<boolean> => {
    const free = SLOTS - running.size;
    if (free <= 0) return false;
    const claims = await outbox.claim(free, leaseMs);
    for (const claim of claims) {
      inHand.add(claim);
      const sending: Promise<void> = sendOne(claim)
        .catch(onError)
        .finally(() => {
          running.delete(sending);
          inHand.delete(claim);
        });
      running.add(sending);
    }
    return claims.length === free;
  };
  const loop = async () => {
    while (!stopping.signal.aborted) {
      let isMore = false;
      try {
        isMore = await round();
      } catch (error) {
        onError(error);
      }
      if (isMore) await Promise.race(running);
      else await sleep(POLL_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const renewal = setInterval(() => {
    Promise.all([...inHand].map(async (claim) => await outbox.renew(claim, leaseMs))).catch(onError);
  }, leaseMs / 3);
  const looping = loop();
  return {
    async stop() {
      stopping.abort();
      await looping;
      const late = sleep(STOP_MS, undefined, { ref: false });
      await Promise.race([Promise.all(running), late]);
      clearInterval(renewal);
    },
  };
}

const NO_RECEIVER: DeliveryEnd = { result: "dead", error: "the API key has no webhook any more" };

async function keyUrl({ keys }: SenderOptions, owner: string | undefined): Promise<string | null> {
  const webhook = owner === undefined ? null : await keys.webhookOf(owner);
  return webhook?.url ?? null;
}

async function trySending(options: SenderOptions, { delivery }: Claim, url: string): Promise<DeliveryEnd> {
  const { secrets, outbound, userAgent, redact, now, random } = options;
  const { type, data } = toldBy(delivery);
  const posted: Posted = await postWebhook(outbound, {
    url,
    id: delivery.eventId,
    seconds: Math.floor(now() / 1000),
    // The form of the Standard Webhooks specification.
    body: JSON.stringify({
      type,
      timestamp: new Date(delivery.at).toISOString(),
      data: redactValue(data, redact),
    }),
    secrets: await secrets.valid(delivery.owner),
    timeoutMs: TRY_MS,
    userAgent,
  });
  if (posted.kind === "taken") return { result: "delivered" };
  const { error } = posted;
  if (posted.kind === "gone") return { result: "dead", error };
  const age = { ageMs: now() - delivery.since, random: random(), askedMs: posted.askedMs };
  const waitMs = nextTryMs(delivery.tries + 1, age);
  return waitMs === null ? { result: "dead", error } : { result: "later", waitMs, error };
}
