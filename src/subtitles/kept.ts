import { z } from "zod";
import { editSchema } from "../job/facts.ts";
import { layoutOptions } from "../job/transcribe-options.ts";
import { transcriptSchema } from "./transcript.ts";

/** A finished transcript, with all that its files were made from. */
const keptSchema = z.object({
  v: z.literal(1),
  engine: z.string(),
  layout: z.object(layoutOptions),
  transcript: transcriptSchema,
  /** Whether parts of the film are missing: its job was cancelled, or failed. */
  partial: z.literal(true).optional(),
  /** Work of a language model that the text has behind it. */
  edit: editSchema.optional(),
});
export type KeptTranscript = z.output<typeof keptSchema>;

export function writeKept({ layout, ...rest }: Omit<KeptTranscript, "v">): string {
  const own = z.object(layoutOptions).parse(layout);
  return JSON.stringify({ v: 1, ...rest, layout: own } satisfies KeptTranscript);
}

/** Null when it is not one that this version understands. */
export function readKept(text: string): KeptTranscript | null {
  try {
    return keptSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
