import type { TranscribeRequest } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { checkEngines, type SpeechEngine } from "../job/speech-engines.ts";

/** Speech models that jobs may use. Fields that are left out are decided beside the GPU. */
export interface SpeechModels {
  /** The model of jobs that name none. */
  readonly model?: string | undefined;
  readonly device?: string | undefined;
  readonly computeType?: string | undefined;
  /** Folder beside the GPU where fetched models are kept. */
  readonly cache?: string | undefined;
  /** Models that a request may name. */
  readonly allowed: readonly string[];
}

/** @throws MirumojiError `MODEL_NOT_ALLOWED` */
export function checkModel(model: string | null, { model: own, allowed }: SpeechModels): void {
  if (model === null || model === own || allowed.includes(model)) return;
  const known = [...new Set([...(own === undefined ? [] : [own]), ...allowed])];
  throw new MirumojiError(
    "MODEL_NOT_ALLOWED",
    `the model ${JSON.stringify(model)} may not be used here; ` +
      (known.length === 0 ? "leave it out" : `name one of ${known.join(", ")}, or leave it out`),
  );
}

/**
 * Asks beside the GPU, where that costs nothing, whether the job could run at all.
 *
 * @throws MirumojiError `ENGINE_MISSING`, `LANGUAGE_UNSUPPORTED`, `MODEL_MISSING`, `MODAL_*`
 */
export async function checkSpeech(
  { model, language }: TranscribeRequest,
  models: SpeechModels,
  engines: (model: string | null, signal: AbortSignal) => Promise<readonly SpeechEngine[] | null>,
  signal: AbortSignal,
): Promise<void> {
  const found = await engines(model ?? models.model ?? null, signal);
  if (found !== null) checkEngines(found, language);
}
