import { type Command, InvalidArgumentError, Option } from "commander";
import { SUBTITLE_FORMATS } from "../job/contract.ts";

/** Names in the contract whose options are called otherwise: commander reads `--no-...` as a negation. */
const RENAMED: Readonly<Record<string, string>> = {
  silenceThreshold: "no_speech_threshold",
  repeatNgramSize: "no_repeat_ngram_size",
};

const TEXTS = [
  ["model <name>", "one of the models that the operator allows"],
  ["task <task>", "transcribe, or translate into English"],
  ["initial-prompt <text>", "text that primes the decoder"],
  ["translate-to <code>", "let the language model translate into this language"],
  ["hotwords <text>", "names and terms to expect"],
  ["dual-mono <side>", "channel of a dual-mono broadcast: both, left or right"],
  ["layout <layout>", "readable, or raw: every segment as it is"],
] as const;

const NUMBERS = [
  ["audio-track", "audio track, counted from 1"],
  ["parallel", "most containers that share the film"],
  ["cache", "age in seconds of an earlier transcript of the same sound that will do"],
  ["language-confidence", "how sure `--language auto` must be"],
  ["beam-size", "beams kept while decoding"],
  ["best-of", "candidates when sampling"],
  ["patience", "beam search patience factor"],
  ["length-penalty", "exponential length penalty"],
  ["temperature", "sampling temperature"],
  ["compression-ratio-threshold", "repetition limit"],
  ["log-prob-threshold", "least average log probability"],
  ["silence-threshold", "no_speech_threshold: silence limit"],
  ["repetition-penalty", "above 1, what was said becomes less likely"],
  ["repeat-ngram-size", "no_repeat_ngram_size: tokens in a row that are not written twice"],
  ["hallucination-silence-threshold", "seconds of silence around doubtful words"],
  ["batch-size", "stretches of speech decoded at a time"],
  ["vad-threshold", "probability from which a sound is speech"],
  ["vad-min-speech-ms", "shortest speech"],
  ["vad-min-silence-ms", "longest silence that is decoded too"],
  ["vad-speech-pad-ms", "what is decoded around speech"],
  ["max-line-width", "characters in a line"],
  ["max-lines", "lines in a cue"],
  ["max-cps", "characters a second"],
] as const;

/** The options of everything that a transcribe request may say, but for its files. */
export function addTranscribeOptions(command: Command): Command {
  command
    .addOption(new Option("-f, --formats <list>", `any of ${SUBTITLE_FORMATS.join(",")}`).default("srt"))
    .option("-l, --language <code>", "spoken language, or auto", "ja")
    .option("--clean-audio", "band-pass and loudness normalisation first")
    .option("--fix", "let the language model correct misheard words")
    .option("--no-vad-filter", "decode everything, and take the engine's own times")
    .option("--condition-on-previous-text", "feed the previous text to the decoder")
    .option("--word-times", "put the time of each word into WebVTT");
  for (const [flag, what] of TEXTS) command.option(`--${flag}`, what);
  for (const [flag, what] of NUMBERS) command.option(`--${flag} <number>`, what, parseNumber);
  return command;
}

/** Values as commander parsed them, with the names and values of the contract. */
export function transcribeFields({ formats, ...rest }: Record<string, unknown>): Record<string, unknown> {
  const named = Object.entries(rest).map(([name, value]) => [RENAMED[name] ?? name, value]);
  return { ...Object.fromEntries(named), formats: String(formats).split(",") };
}

/** Parses the value of an option that is a number. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError("must be a number");
  return value;
}
