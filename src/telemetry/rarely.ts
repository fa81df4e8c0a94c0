/** Names that are kept apart; all further ones count as one. */
const MOST_NAMES = 100;
const OTHERS = "others";

/**
 * Limits what is said about the same thing: the first time at once, then once per `everyMs` with how often it happened
 * in between. Somebody who can write to Redis must not be able to fill the log.
 */
export function rarely(
  say: (name: string, times: number) => void,
  { everyMs, now }: { readonly everyMs: number; readonly now: () => number },
): (name: string) => void {
  const known = new Map<string, { saidAt: number; times: number }>();
  return (given) => {
    const name = known.has(given) || known.size < MOST_NAMES ? given : OTHERS;
    const entry = known.get(name);
    if (entry !== undefined && now() - entry.saidAt < everyMs) {
      entry.times += 1;
      return;
    }
    known.set(name, { saidAt: now(), times: 0 });
    say(name, (entry?.times ?? 0) + 1);
  };
}
