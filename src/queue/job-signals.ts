import { MirumojiError } from "../job/errors.ts";

/**
 * How the work on a job is ended from outside. Three sources abort a step; the first one counts:
 *
 * - `stopped`: the work must end here, in whatever state. The worker stops (`INTERRUPTED`), or another worker owns the
 *   job (`LEASE_LOST`), as told by the lease clock, a refused renewal or a refused write.
 * - `cancelled`: a cancel was requested (`CANCELLED`): heard on the cancel channel, by polling or with a
 *   write. States that end a job, well or not, do not listen to it.
 * - the time limits of one attempt (`runner/limits.ts`), which joins all three in the signal that a step gets.
 */
export class JobSignals {
  readonly #stop = new AbortController();
  readonly #cancel = new AbortController();

  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  get cancelled(): AbortSignal {
    return this.#cancel.signal;
  }

  /** The worker stops: the job goes on elsewhere. */
  interrupt(): void {
    this.#stop.abort(new MirumojiError("INTERRUPTED", "the worker is stopping"));
  }

  /** The lease is gone: nothing of the job may be touched here any more. */
  loseLease(): void {
    this.#stop.abort(new MirumojiError("LEASE_LOST", "another worker owns the job now"));
  }

  /** A cancel was requested. */
  cancel(): void {
    this.#cancel.abort(new MirumojiError("CANCELLED", "cancelled on request"));
  }
}
