import { setTimeout as sleep } from "node:timers/promises";
import { MirumojiError } from "../../job/errors.ts";
import type { InputIdentity } from "../../job/facts.ts";

/** An input that is read over the network. */
export interface RemoteSource {
  /** Name of it for people, without secrets. */
  readonly shown: string;
  readonly identity: InputIdentity;
  /** Whether it can be read from any place on; then its size is known. */
  readonly hasRanges: boolean;
  /**
   * The bytes from `start` on.
   *
   * @throws MirumojiError `INPUT_CHANGED` when it is not what it was in the beginning, and the errors of its kind; so
   * does the content
   */
  read(start: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** Cuts in a row, with nothing read in between, after which it is given up. */
const MOST_CUTS = 6;
const FIRST_PAUSE_MS = 200;

/**
 * Reads a source to its end, and goes on where it was cut off.
 *
 * @throws MirumojiError what `read` of the source throws
 */
export async function* readSteadily(
  source: RemoteSource,
  { start = 0, signal }: { readonly start?: number; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array, void> {
  const { sizeBytes } = source.identity;
  let at = start;
  for (let cuts = 0; ;) {
    try {
      for await (const chunk of await source.read(at, signal)) {
        at += chunk.length;
        cuts = 0;
        yield chunk;
      }
      if (sizeBytes === null || at >= sizeBytes) return;
      throw cutOff(source, at);
    } catch (error) {
      signal.throwIfAborted();
      cuts += 1;
      if (!isWorthResuming(source, error) || cuts >= MOST_CUTS) throw error;
      await sleep(FIRST_PAUSE_MS * 2 ** (cuts - 1), undefined, { signal });
    }
  }
}

/** An input that nobody can know again cannot be gone on with. */
function isWorthResuming({ identity }: RemoteSource, error: unknown): boolean {
  const isKnown =
    identity.etag !== undefined || identity.modified !== undefined || identity.sizeBytes !== null;
  return (
    isKnown && error instanceof MirumojiError && (error.kind === "transient" || error.kind === "storage")
  );
}

function cutOff({ shown, identity }: RemoteSource, at: number): MirumojiError {
  return new MirumojiError(
    "INPUT_URL_UNREACHABLE",
    `${shown} was cut off after ${at} of ${identity.sizeBytes} bytes`,
  );
}

/** The error for an input that is another one than in the beginning. */
export function changedInput(shown: string, why: string): MirumojiError {
  return new MirumojiError(
    "INPUT_CHANGED",
    `${shown} changed while it was being read: ${why}; submit the job when the file stays as it is`,
  );
}
