import { once } from "node:events";

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/**
 * Waits for the first SIGTERM or SIGINT, stops cleanly and returns. A second signal, or a stop that takes
 * longer than `limitMs`, ends the process at once: leases run out and other workers take over.
 */
export async function stopOnSignal(options: {
  stop: () => Promise<void>;
  limitMs: number;
  /** Ends the wait like a signal would (a parent that went away). */
  alsoOn?: AbortSignal;
  onStopping: (why: string) => void;
}): Promise<void> {
  const waiting = new AbortController();
  const causes = SIGNALS.map(async (signal): Promise<string> => {
    await once(process, signal, { signal: waiting.signal });
    return signal;
  });
  if (options.alsoOn !== undefined) causes.push(aborted(options.alsoOn));
  for (const cause of causes) cause.catch(() => undefined);
  const why = await Promise.race(causes);
  waiting.abort();
  for (const signal of SIGNALS) process.once(signal, () => process.exit(130));
  options.onStopping(why);
  const late = setTimeout(() => process.exit(1), options.limitMs);
  try {
    await options.stop();
  } finally {
    clearTimeout(late);
  }
}

async function aborted(signal: AbortSignal): Promise<string> {
  if (!signal.aborted) await once(signal, "abort");
  return "parent went away";
}
