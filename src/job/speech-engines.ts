import { z } from "zod";
import { MirumojiError } from "./errors.ts";

/** Speech engines beside the GPU, the best first, as `report` of `container/mirumoji_gpu` tells them. */
export const speechEnginesSchema = z.array(
  z.object({
    engine: z.string(),
    /** Of a path only its end. */
    model: z.string(),
    /** ISO 639 codes, and `auto`. */
    languages: z.array(z.string()),
    /** Reason why the model cannot be used, or not without fetching it first. */
    problem: z.string().nullable(),
    /** Whether the model is there or may be fetched. */
    isUsable: z.boolean(),
  }),
);

export type SpeechEngine = z.infer<typeof speechEnginesSchema>[number];

/**
 * Refuses what the engines cannot do, before anything is paid.
 *
 * @throws MirumojiError `ENGINE_MISSING`, `LANGUAGE_UNSUPPORTED`, `MODEL_MISSING`
 */
export function checkEngines(engines: readonly SpeechEngine[], language: string): void {
  if (engines.length === 0) {
    throw new MirumojiError(
      "ENGINE_MISSING",
      "no speech engine was found beside the GPU; install faster-whisper, whisper.cpp or PocketSphinx",
    );
  }
  const chosen = engines.find(({ languages }) => languages.includes(language));
  if (chosen === undefined) {
    const found = engines.map(({ engine, model }) => `${engine} (model ${model})`).join(", ");
    throw new MirumojiError(
      "LANGUAGE_UNSUPPORTED",
      `no engine beside the GPU knows the language ${JSON.stringify(language)}; found: ${found}`,
    );
  }
  if (!chosen.isUsable)
    throw new MirumojiError("MODEL_MISSING", chosen.problem ?? `no model ${chosen.model}`);
}
