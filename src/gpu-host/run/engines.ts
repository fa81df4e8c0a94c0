import type { SpeechEngine } from "../../job/speech-engines.ts";
import type { Log } from "../log.ts";

/** A model that is missing may be put in place; one that is there stays. */
const BELIEVED_MS = { usable: 600_000, otherwise: 5000 };

/** Finds the speech engines of this machine; null stands for the model of calls that name none. */
export type InspectEngines = (model: string | null) => Promise<readonly SpeechEngine[]>;

/** Speech engines that a call would find. Looking takes a Python, so that what was seen is believed for a while. */
export class Engines {
  readonly #inspect: InspectEngines;
  readonly #now: () => number;
  readonly #log: Log;
  readonly #seen = new Map<string | null, { readonly at: number; readonly engines: Promise<Sight> }>();

  constructor(options: { inspect: InspectEngines; now: () => number; log: Log }) {
    this.#inspect = options.inspect;
    this.#now = options.now;
    this.#log = options.log;
  }

  /** Null where they cannot be found out. */
  async of(model: string | null): Promise<readonly SpeechEngine[] | null> {
    const known = this.#seen.get(model);
    const sight = await known?.engines;
    if (known !== undefined && sight !== undefined && this.#now() - known.at < sight.believedMs)
      return sight.engines;
    if (this.#seen.get(model) === known) {
      this.#seen.set(model, { at: this.#now(), engines: this.#look(model) });
    }
    return (await this.#seen.get(model)?.engines)?.engines ?? null;
  }

  async #look(model: string | null): Promise<Sight> {
    try {
      const engines = await this.#inspect(model);
      const isUsable = engines[0]?.isUsable === true;
      const problem = engines[0]?.problem ?? (engines.length === 0 ? "no speech engine was found" : null);
      if (problem !== null) this.#log.warn({ problem }, `speech: ${problem}`);
      return { engines, believedMs: isUsable ? BELIEVED_MS.usable : BELIEVED_MS.otherwise };
    } catch (error) {
      this.#log.warn({ error }, "the speech engines cannot be asked");
      return { engines: null, believedMs: BELIEVED_MS.otherwise };
    }
  }
}

interface Sight {
  readonly engines: readonly SpeechEngine[] | null;
  readonly believedMs: number;
}
