import { z } from "zod";

/**
 * Whisper options that Mirumoji curated for long Japanese media, with its defaults. Engines other than
 * Whisper refuse a value that is not the default and that they cannot honour.
 */
export const whisperOptions = {
  beam_size: z.int().min(1).max(20).default(5).describe("Beams kept while decoding."),
  best_of: z.int().min(1).max(20).default(5).describe("Candidates when sampling (temperature above 0)."),
  patience: z.number().min(0).max(10).default(1).describe("Beam search patience factor."),
  length_penalty: z.number().min(-10).max(10).default(1).describe("Exponential length penalty."),
  temperature: z.number().min(0).max(1).default(0).describe("Sampling temperature; 0 is greedy."),
  compression_ratio_threshold: z
    .number()
    .min(0)
    .max(100)
    .default(2)
    .describe("Text that compresses better than this counts as a repetition loop and is decoded again."),
  log_prob_threshold: z
    .number()
    .min(-100)
    .max(0)
    .default(-1)
    .describe("Average log probability below which a segment is decoded again."),
  no_speech_threshold: z
    .number()
    .min(0)
    .max(1)
    .default(0.3)
    .describe("Probability of silence above which a segment is dropped."),
  condition_on_previous_text: z
    .boolean()
    .default(false)
    .describe("Feed the previous text to the decoder; off, because it makes loops in long media."),
  initial_prompt: z.string().max(2000).nullable().default(null).describe("Text that primes the decoder."),
  hotwords: z
    .string()
    .min(1)
    .max(2000)
    .nullable()
    .default(null)
    .describe("Names and terms to expect; no effect together with a prompt that fills the context."),
  repetition_penalty: z
    .number()
    .min(1)
    .max(10)
    .default(1)
    .describe("Above 1, what was said already becomes less likely."),
  no_repeat_ngram_size: z
    .int()
    .min(0)
    .max(100)
    .default(0)
    .describe("Sequences of so many tokens are not written twice in a row of speech; 0 turns it off."),
  hallucination_silence_threshold: z
    .number()
    .min(0)
    .max(60)
    .nullable()
    .default(null)
    .describe("Seconds of silence around doubtful words above which they are skipped."),
  batch_size: z
    .int()
    .min(1)
    .max(64)
    .nullable()
    .default(null)
    .describe(
      "Stretches of speech that are decoded at a time. By default as many as fit the memory of the GPU, and one on a CPU; more than one rules out temperatures above 0, `condition_on_previous_text` and `hallucination_silence_threshold`.",
    ),
};

/** Where speech is looked for, by Silero. */
export const speechOptions = {
  vad_filter: z
    .boolean()
    .default(true)
    .describe(
      "Look for speech first: only speech is decoded, and begins and ends where it is heard. Off, the engine's own times count.",
    ),
  vad_threshold: z
    .number()
    .min(0.05)
    .max(0.95)
    .default(0.5)
    .describe("Probability from which a sound counts as speech."),
  vad_min_speech_ms: z
    .int()
    .min(0)
    .max(10_000)
    .default(100)
    .describe("Speech shorter than this is passed over, in milliseconds."),
  vad_min_silence_ms: z
    .int()
    .min(100)
    .max(10_000)
    .default(1000)
    .describe("Silence longer than this is left out of what is decoded, in milliseconds."),
  vad_speech_pad_ms: z
    .int()
    .min(0)
    .max(2000)
    .default(500)
    .describe("How much around speech is decoded with it, in milliseconds."),
};

/** How subtitles are cut and broken. A finished transcript can be laid out anew without the GPU. */
export const layoutOptions = {
  layout: z
    .enum(["readable", "raw"])
    .default("readable")
    .describe("`readable` cuts and breaks cues by the rules below; `raw` writes every segment as it is."),
  max_line_width: z
    .int()
    .min(4)
    .max(200)
    .nullable()
    .default(null)
    .describe("Characters in a line. Default: 16 (full-width) for Japanese, Chinese and Korean, else 42."),
  max_lines: z.int().min(1).max(4).default(2).describe("Lines in a cue."),
  max_cps: z
    .number()
    .min(1)
    .max(100)
    .nullable()
    .default(null)
    .describe(
      "Characters a second, where the speech allows it. Default: 8 for Japanese, 10 for Chinese and Korean, else 20.",
    ),
  word_times: z.boolean().default(false).describe("Put the time of each word into WebVTT."),
};

/** The layout of a request that says nothing of it. */
export const DEFAULT_LAYOUT = z.object(layoutOptions).parse({});
