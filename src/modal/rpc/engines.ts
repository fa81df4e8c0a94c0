import { type SpeechEngine, speechEnginesSchema } from "../../job/speech-engines.ts";
import { unary } from "./rpc.ts";
import type { ModalSession } from "./session.ts";

const TIMEOUT_MS = 10_000;
/** Headers of our GPU host, which knows what a call would find; Modal ignores the one and sends none. */
const ASK = "x-mirumoji-speech-model";
const TELL = "x-mirumoji-speech-engines";

/** Told in the place of engines by a host that has not found out. */
const UNKNOWN = "unknown";

/** An engine that can be used is believed to be there for so long. */
const BELIEVED_MS = 60_000;

/**
 * Asks the server which speech engines a call would find, without a call: null where it does not tell, as Modal does
 * not, and where it cannot be asked now, which the next request shows better.
 */
export function engineInquiry(
  session: ModalSession,
  steadyNow: () => number,
): (model: string | null, signal: AbortSignal) => Promise<readonly SpeechEngine[] | null> {
  const known = new Map<string | null, { readonly at: number; readonly engines: readonly SpeechEngine[] }>();
  let tells = true;
  return async (model, signal) => {
    if (!tells) return null;
    const before = known.get(model);
    if (before !== undefined && steadyNow() - before.at < BELIEVED_MS) return before.engines;
    const told = await ask(session, model, signal).catch(() => UNKNOWN);
    signal.throwIfAborted();
    if (told === undefined) {
      tells = false;
      return null;
    }
    const engines = readEngines(told);
    if (engines?.[0]?.isUsable === true) known.set(model, { at: steadyNow(), engines });
    return engines;
  };
}

/** Null for what a server of another version may tell. */
function readEngines(told: string): readonly SpeechEngine[] | null {
  try {
    return speechEnginesSchema.parse(JSON.parse(decodeURIComponent(told)));
  } catch {
    return null;
  }
}

async function ask(
  session: ModalSession,
  model: string | null,
  signal: AbortSignal,
): Promise<string | undefined> {
  let told: string | undefined;
  await unary(
    session,
    "clientHello",
    {},
    {
      signal,
      timeoutMs: TIMEOUT_MS,
      hints: { [ASK]: encodeURIComponent(model ?? "") },
      onHeader: (header) => {
        told = header.get(TELL);
      },
    },
  );
  return told;
}
