import { MirumojiError } from "../job/errors.ts";

/** Speech models that jobs may use. Fields that are left out are decided beside the GPU. */
export interface SpeechModels {
  /** The model of jobs that name none. */
  readonly model?: string | undefined;
  readonly device?: string | undefined;
  readonly computeType?: string | undefined;
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
