import { MirumojiError } from "../job/errors.ts";

/** Aborts at the first SIGINT or SIGTERM, so that a command can tidy up; a second one ends it at once. */
export function untilInterrupted(): AbortSignal {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      interrupted.abort(new MirumojiError("INTERRUPTED", `stopped by ${signal}`));
    });
  }
  return interrupted.signal;
}
