import { type ErrorCode, MirumojiError, toMirumojiError } from "../../job/errors.ts";
import { sleep } from "../rpc/abort.ts";
import type { ModalSession } from "../rpc/session.ts";

export interface CanaryOptions {
  readonly session: ModalSession;
  /** A small image with a `python`; its functions run on the CPU. */
  readonly image: string;
  /** The file with the canary's functions. */
  readonly handlerPath: string;
  /** How long one call may take, queueing and cold start included. */
  readonly callWaitMs: number;
  readonly signal: AbortSignal;
}

/** Results that steps leave for later ones. */
export interface CanaryRun extends CanaryOptions {
  appId?: string;
  imageId?: string;
  clientMountId?: string;
  functionIds?: { readonly canary: string; readonly hold: string };
  volumeId?: string;
  readonly heartbeats: { answered: number; failed: number; stop: () => void };
}

/** Findings of a step, by name. */
export type Learnt = Record<string, string | number | boolean>;

export interface CanaryStep {
  readonly name: string;
  run(run: CanaryRun, signal: AbortSignal): Promise<Learnt>;
}

/** Result of one step. */
export interface StepReport {
  readonly name: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly ms: number;
  readonly learnt: Learnt;
  readonly error: { readonly code: ErrorCode; readonly message: string } | null;
}

type Earned = "appId" | "imageId" | "clientMountId" | "functionIds" | "volumeId";

/** Result of an earlier step; the order of the steps guarantees it. */
export function need<Name extends Earned>(run: CanaryRun, name: Name): NonNullable<CanaryRun[Name]> {
  const value = run[name];
  if (value === undefined) throw new MirumojiError("UNEXPECTED", `no step left ${name}`);
  return value;
}

const PAUSES_MS = [1_000, 3_000];

/** Retries a clean-up after a pause; if it still fails, reports what is left behind. */
export async function insisting(
  left: string,
  signal: AbortSignal,
  action: () => Promise<void>,
): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await action();
      return;
    } catch (thrown) {
      const pauseMs = PAUSES_MS[tries];
      const error = toMirumojiError(thrown);
      if (pauseMs === undefined)
        throw new MirumojiError(error.code, `${left}: ${error.message}`, { cause: thrown });
      await sleep(pauseMs, signal);
    }
  }
}
