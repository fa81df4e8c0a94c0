import { type MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { Platform } from "../ports/platform.ts";
import type { HeldKey } from "../queue/held-key.ts";
import type { Pause, PoolPause } from "../queue/pool-pause.ts";
import type { Hold, Intake } from "./intake.ts";

/** How often the pause of the pool is read. */
const ROUND_MS = 1000;
/** How often Modal is asked whether it is well again. */
const PROBE_MS = 5000;
/** A refused token is tried again this often; one that was replaced in its file at once. */
const TOKEN_PROBE_MS = 30_000;
/** The pause of the pool outlives some probes, so that it ends by itself only when nobody is there to ask. */
const OUTAGE_MS = 30_000;
/** Pause when Modal asks us to slow down and names no time. */
const SLOWDOWN_MS = 10_000;
const LONGEST_SLOWDOWN_MS = 5 * 60_000;

export interface PlatformWatchOptions {
  readonly pause: PoolPause;
  readonly intake: Intake;
  /** Held by the one worker that asks Modal for a pool that waits for it. */
  readonly probing: HeldKey;
  /**
   * Asks Modal whether it is there and takes the token, and whether what failed with `trouble` can be reached.
   *
   * @throws MirumojiError
   */
  readonly probe: (trouble: MirumojiError | null) => Promise<void>;
  /** Reads the token again, where it is in files; true when it is another one. */
  readonly renewToken: () => boolean;
  /** Told when trouble begins, changes or, with null, ends; `hold` says whether it is this worker's or the pool's. */
  readonly onChange: (hold: Exclude<Hold, "disk" | "prefix">, why: string | null) => void;
  readonly onError: (error: unknown) => void;
  readonly roundMs?: number;
  readonly probeMs?: number;
}

export interface PlatformWatch extends Platform {
  /** Whether this worker can work with Modal while others may be able to. */
  isAtFault(): boolean;
  stop(): Promise<void>;
}

/**
 * Takes no jobs while Modal is unwell: trouble costs no job an attempt, and the deadline of each decides.
 *
 * - A refused token is this worker's fault: it alone takes no jobs until the token is accepted.
 * - When Modal cannot be reached, this worker takes no jobs until it has got through, and the pool pauses until any
 *   worker of it has.
 * - When Modal asks us to slow down, the pool pauses for the time that it asks for.
 */
export function startPlatformWatch(options: PlatformWatchOptions): PlatformWatch {
  const { pause, intake, probing, onError, roundMs = ROUND_MS, probeMs = PROBE_MS } = options;
  /** Trouble of this worker's own. */
  let own: MirumojiError | null = null;
  let pooled: Pause | null = null;
  let probedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<MirumojiError | null> | null = null;
  let isStopping = false;
  /** Number of reports so far. */
  let reports = 0;

  const show = async (hold: Exclude<Hold, "disk" | "prefix">, why: string | null): Promise<void> => {
    const before = intake.reasons.get(hold) ?? null;
    await intake.set(hold, why);
    if ((before === null) !== (why === null)) options.onChange(hold, why);
  };
  const setOwn = async (error: MirumojiError | null): Promise<void> => {
    own = error;
    const why = error === null ? null : `${error.code}: ${error.message}`;
    await show("token", error?.kind === "worker" ? why : null);
    await show("unreachable", error?.kind === "platform" ? why : null);
  };
  /** Trouble that Modal is in, or null; one question at a time, whoever asks. */
  const ask = async (trouble: MirumojiError | null): Promise<MirumojiError | null> => {
    asking ??= options
      .probe(trouble)
      .then(
        () => null,
        (error: unknown) => {
          const problem = toMirumojiError(error);
          // Anything else, such as an image that cannot be built, is told to the jobs that need it.
          return problem.kind === "platform" || problem.kind === "worker" ? problem : null;
        },
      )
      .finally(() => {
        probedAt = performance.now();
        asking = null;
      });
    return await asking;
  };
  const heed = async (problem: MirumojiError | null): Promise<void> => {
    if (isStopping) return;
    const isNew = own === null;
    await setOwn(problem);
    // One that is lifted while this worker still gets no answer was lifted by another, which does.
    if (problem?.kind === "platform") {
      if (isNew || (await pause.read()) !== null) await pause.extend(problem, OUTAGE_MS);
    } else if (problem === null && pooled?.code === "MODAL_UNAVAILABLE") await pause.lift(pooled.code);
  };
  const round = async (): Promise<void> => {
    const hasNewToken = own?.kind === "worker" && options.renewToken();
    const seen = reports;
    pooled = await pause.read();
    // A pause that was written meanwhile is not in the answer.
    if (seen !== reports) return;
    await show("pool", pooled === null ? null : `${pooled.code}: ${pooled.message}`);
    const sinceProbe = performance.now() - probedAt;
    if (own !== null) {
      const due = own.kind === "worker" ? TOKEN_PROBE_MS : probeMs;
      if (hasNewToken || sinceProbe >= due) await heed(await ask(own));
      return;
    }
    // This worker met no trouble; perhaps only another one's network is down.
    const isOutage = pooled?.code === "MODAL_UNAVAILABLE" && sinceProbe >= probeMs;
    if (isOutage && (await probing.hold(probeMs))) await heed(await ask(null));
  };
  let current: Promise<void> | null = null;
  const timer = setInterval(() => {
    current ??= round()
      .catch(onError)
      .finally(() => {
        current = null;
      });
  }, roundMs);
  return {
    isAtFault: () => own !== null && (own.kind === "worker" || pooled === null),
    async report(error) {
      reports += 1;
      if (error.kind === "quota") {
        const ms = Math.min(error.retryAfterMs ?? SLOWDOWN_MS, LONGEST_SLOWDOWN_MS);
        await show("pool", `${error.code}: ${error.message}`);
        await pause.extend(error, ms);
        reports += 1;
        return true;
      }
      if (own !== null) return true;
      const problem = await ask(error);
      if (problem !== null) await heed(problem);
      return problem !== null;
    },
    async stop() {
      isStopping = true;
      clearInterval(timer);
      await current;
      await probing.release();
    },
  };
}
