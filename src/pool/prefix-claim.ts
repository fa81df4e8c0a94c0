import { toMirumojiError } from "../job/errors.ts";
import type { PlatformClaim } from "../queue/platform-claim.ts";
import type { Intake } from "./intake.ts";

/** Well under the time after which a silent worker is taken for gone. */
const RENEW_MS = 15_000;
/** A server that could not say who it is, or a prefix that was taken, is tried again this often. */
const RETRY_MS = 2000;

export interface PrefixClaimOptions {
  readonly claim: PlatformClaim;
  /** Asks the Modal server who it is; null where it cannot say. */
  readonly identify: () => Promise<{ readonly id: string; readonly name: string } | null>;
  /** Told why no jobs are taken, and with null that they are. */
  readonly onChange: (problem: string | null) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * This worker's claim to the queues for its Modal server. Without it nothing is done for any job: the volumes and calls in
 * the books may be another server's, where they would look lost.
 */
export class PrefixClaim {
  readonly #options: PrefixClaimOptions;
  #isHeld = false;
  /** Last answer of the server. */
  #known: Awaited<ReturnType<PrefixClaimOptions["identify"]>> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;
  #problem: string | null = null;

  constructor(options: PrefixClaimOptions) {
    this.#options = options;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /**
   * Takes the claim or keeps it.
   *
   * @throws MirumojiError `PREFIX_IN_USE`, and what the server says is wrong
   */
  async hold(): Promise<void> {
    const platform = await this.#options.identify().catch((error: unknown) => {
      if (this.#known === undefined) throw error;
      return this.#known;
    });
    this.#known = platform;
    if (platform !== null) await this.#options.claim.hold(platform);
    this.#isHeld = true;
  }

  /** Takes no jobs until the claim is held, and keeps it. */
  async start(intake: Intake): Promise<void> {
    if (!this.#isHeld) await intake.set("prefix", "the Modal server has not said yet who it is");
    const round = async (): Promise<void> => {
      try {
        await this.hold();
        await this.#show(intake, null);
      } catch (error) {
        const { code, message } = toMirumojiError(error);
        // One that is held stays so while Modal or Redis is away.
        if (code === "PREFIX_IN_USE") this.#isHeld = false;
        if (!this.#isHeld) await this.#show(intake, `${code}: ${message}`);
      }
      if (this.#isStopping) return;
      this.#timer = setTimeout(
        () => void round().catch(this.#options.onError),
        this.#isHeld ? RENEW_MS : RETRY_MS,
      );
    };
    await round();
  }

  async #show(intake: Intake, problem: string | null): Promise<void> {
    if (this.#isStopping) return;
    await intake.set("prefix", problem);
    if (this.#problem !== problem) this.#options.onChange(problem);
    this.#problem = problem;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    await this.#options.claim.release();
  }
}
