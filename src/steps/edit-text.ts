import type { TranscribeRequest } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { EditReport } from "../job/facts.ts";
import type { TextEditor } from "../ports/text-editor.ts";
import { readKept } from "../subtitles/kept.ts";
import type { Transcript } from "../subtitles/transcript.ts";
import type { StepJob, StepTools } from "./context.ts";

type EditWish = Pick<TranscribeRequest, "fix" | "translate_to">;

/** Longest work of the language model on one job; what is not done by then stays as it was. */
const LONGEST_MS = 30 * 60_000;

const NOTHING_DONE = {
  fixed: false,
  translatedTo: null,
  sentences: 0,
  inputTokens: 0,
  outputTokens: 0,
  usd: null,
};

/** @throws MirumojiError `LANGUAGE_MODEL_MISSING` */
export function checkEditor({ fix, translate_to }: EditWish, editor: TextEditor | null): void {
  if (editor !== null || (!fix && translate_to === null)) return;
  const what = fix ? "fix" : "translate_to";
  throw new MirumojiError(
    "LANGUAGE_MODEL_MISSING",
    `${what}: there is no language model here (MIRUMOJI_LLM_URL); leave it out`,
  );
}

/** A transcript with the work that a language model did on it. */
export interface Edited {
  readonly transcript: Transcript;
  readonly edit?: EditReport | undefined;
}

/**
 * Lets the language model correct and translate the sentences. Their times stay. A try that was cut off after it has paid
 * for this once: what is kept of it is used again.
 */
export async function editText(
  { id, signal, warn }: StepJob<"download">,
  { editor, transcripts }: StepTools,
  { transcript, wish: { fix, translate_to } }: { readonly transcript: Transcript; readonly wish: EditWish },
): Promise<Edited> {
  if (editor === null || (!fix && translate_to === null) || transcript.segments.length === 0) {
    return { transcript };
  }
  const text = await transcripts.get(id).catch(() => null);
  const kept = text === null ? null : readKept(text);
  if (kept?.edit !== undefined) return { transcript: kept.transcript, edit: kept.edit };
  const { language, segments } = transcript;
  const limit = AbortSignal.timeout(LONGEST_MS);
  try {
    const { texts, isEdited, usage, warnings } = await editor.edit({
      texts: segments.map((segment) => segment.text),
      language,
      fix,
      translateTo: translate_to,
      signal: AbortSignal.any([signal, limit]),
    });
    for (const warning of warnings) warn(warning);
    const sentences = isEdited.filter(Boolean).length;
    const translatedTo = sentences > 0 ? translate_to : null;
    return {
      transcript: {
        v: 1,
        language: translatedTo ?? language,
        segments: segments.map((segment, index) => withText(segment, texts[index] ?? segment.text)),
      },
      edit: {
        model: editor.model,
        fixed: fix && sentences > 0,
        translatedTo,
        sentences,
        ...usage,
        warnings: [...warnings],
      },
    };
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.aborted) throw error;
    const late = "the language model took too long; the text stays as it was";
    warn(late);
    return { transcript, edit: { ...NOTHING_DONE, model: editor.model, warnings: [late] } };
  }
}

/** Words that are no longer those of the text have no times. */
function withText(segment: Transcript["segments"][number], text: string): Transcript["segments"][number] {
  if (text === segment.text) return segment;
  const { words: _words, ...rest } = segment;
  return { ...rest, text };
}
