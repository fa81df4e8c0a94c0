import { z } from "zod";

/** Seconds from the start of the media. */
const time = z.number().nonnegative();

const wordSchema = z.object({
  start: time,
  end: time,
  /** As it stands in the segment's text, punctuation included. */
  text: z.string(),
  /** How sure the engine is, 0 to 1. */
  probability: z.number().optional(),
});

const segmentSchema = z.object({
  start: time,
  end: time,
  text: z.string(),
  words: z.array(wordSchema).optional(),
  avgLogProb: z.number().optional(),
  noSpeechProb: z.number().optional(),
  compressionRatio: z.number().optional(),
});

/** Speech as text, about a sentence per segment: the file that `transcribe` leaves in the volume. */
export const transcriptSchema = z.object({
  v: z.literal(1),
  language: z.string(),
  segments: z.array(segmentSchema),
});

export type Segment = z.output<typeof segmentSchema>;
export type Transcript = z.output<typeof transcriptSchema>;
