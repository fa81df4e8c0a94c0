import { JobSignals } from "./job-signals.ts";

/** How often a worker looks whether its leases have run out. */
const CHECK_MS = 100;

/** A moment on both clocks: one can be set back, the other may stand still while the machine sleeps. */
interface Moment {
  readonly wall: number;
  readonly steady: number;
}

/** The lease of a job that runs here. */
export interface HeldLease {
  readonly jobId: string;
  readonly signals: JobSignals;
  /** The lease is ours for its length from here. */
  renewed: Moment;
}

/**
 * The leases of the jobs that run here, on this worker's own clock. Redis cannot tell us that a lease is lost when it
 * cannot be reached, nor a process that was frozen in time: by our own clock we know that others have the job before
 * we touch anything of it again.
 */
export class LeaseClock {
  readonly #leaseMs: number;
  readonly #held = new Map<string, HeldLease>();
  readonly #timer = setInterval(() => this.#check(), CHECK_MS);

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** Starts to watch the lease of a job that was taken this moment. */
  hold(jobId: string): HeldLease {
    const lease = { jobId, signals: new JobSignals(), renewed: thisMoment() };
    this.#held.set(jobId, lease);
    return lease;
  }

  drop(lease: HeldLease): void {
    // After a lost lease this worker may have taken the same job again.
    if (this.#held.get(lease.jobId) === lease) this.#held.delete(lease.jobId);
  }

  /** BullMQ has renewed these leases. */
  renew(jobIds: readonly string[]): void {
    for (const lease of this.#of(jobIds)) lease.renewed = thisMoment();
  }

  /** BullMQ could not renew these leases, because they are not ours. */
  lose(jobIds: readonly string[]): void {
    for (const { signals } of this.#of(jobIds)) signals.loseLease();
  }

  /** The signals of a job that runs here. */
  signalsOf(jobId: string): JobSignals | undefined {
    return this.#held.get(jobId)?.signals;
  }

  interruptAll(): void {
    for (const { signals } of this.#held.values()) signals.interrupt();
  }

  /** The jobs that run here. */
  jobIds(): string[] {
    return [...this.#held.keys()];
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #of(jobIds: readonly string[]): HeldLease[] {
    return jobIds.flatMap((jobId) => this.#held.get(jobId) ?? []);
  }

  #check(): void {
    for (const { renewed, signals } of this.#held.values()) {
      if (msSince(renewed) > this.#leaseMs) signals.loseLease();
    }
  }
}

function thisMoment(): Moment {
  return { wall: Date.now(), steady: performance.now() };
}

/** How long ago, by the clock that saw more of it. */
function msSince({ wall, steady }: Moment): number {
  return Math.max(Date.now() - wall, performance.now() - steady);
}
