import { toMirumojiError } from "../job/errors.ts";
import type { Logger } from "./logger.ts";
import { rarely } from "./rarely.ts";

const EVERY_MS = 30_000;
/** Parts of a message that differ though the trouble is the same. */
const PARTICULARS = /[\da-f-]{8,}|\d+/gu;

/**
 * Warns of trouble that may come in floods: of one kind in one place a line each half minute, which says how often it
 * was met since the last one.
 */
export function seldomWarn(
  logger: Pick<Logger, "warn">,
  now: () => number,
): (error: unknown, what: string) => void {
  let current: { readonly error: unknown; readonly text: string } = { error: null, text: "" };
  const say = rarely(
    (_kind, times) => logger.warn({ err: current.error, ...(times === 1 ? {} : { times }) }, current.text),
    { everyMs: EVERY_MS, now },
  );
  return (error, what) => {
    const { code, message } = toMirumojiError(error);
    const text = `${what}: ${code === "UNEXPECTED" ? message : `${code}: ${message}`}`;
    current = { error, text };
    say(text.replaceAll(PARTICULARS, "#"));
  };
}
