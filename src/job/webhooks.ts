import { z } from "zod";

/** Ends of a job that are told. */
export const WEBHOOK_EVENTS = ["completed", "failed", "cancelled"] as const;

/** Where the end of a job is told. The URL may open something, so it is shown nowhere. */
export const webhookSchema = z
  .strictObject({
    url: z
      .string()
      .max(2048)
      .regex(/^https?:\/\/[^\s]+$/, "must be a URL with https")
      .describe("Address that gets a POST with the signed event."),
    events: z
      .array(z.enum(WEBHOOK_EVENTS))
      .min(1)
      .max(WEBHOOK_EVENTS.length)
      .optional()
      .describe("Which ends are told. Default: all."),
  })
  .meta({ id: "Webhook", description: "Where the end of the job is told." });
export type Webhook = z.output<typeof webhookSchema>;

const FIRST_WAIT_MS = 5000;
const LONGEST_WAIT_MS = 4 * 3_600_000;
/** Deliveries are given up when the next try would be later than this after the event. */
export const GIVE_UP_MS = 24 * 3_600_000;

/**
 * Wait before the next try: three times as long each time, up to four hours, and a fifth more or less at random, so
 * that events of one moment do not come back in one moment. Null when it is time to give up.
 *
 * @param tries - tries so far
 * @param ageMs - time since the event, or since somebody asked for it again
 * @param random - from 0 to 1
 */
export function nextTryMs(
  tries: number,
  { ageMs, random, askedMs = 0 }: { ageMs: number; random: number; askedMs?: number },
): number | null {
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 3 ** Math.max(0, tries - 1));
  const spread = wait * (0.8 + 0.4 * random);
  const next = Math.max(spread, Math.min(askedMs, LONGEST_WAIT_MS));
  return ageMs + next > GIVE_UP_MS ? null : Math.round(next);
}

/** The part of a webhook's URL that may be shown. */
export function shownUrl(url: string): string {
  return URL.canParse(url) ? `${new URL(url).origin}/…` : "(no URL)";
}
