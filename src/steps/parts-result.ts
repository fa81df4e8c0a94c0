import type { JobRequest } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { FileResult, FilmPart, RemoteResult } from "../job/facts.ts";

const NO_SPEECH = "no speech was found";

interface Voice {
  readonly language: string;
  /** How sure it is, and for how much speech. */
  readonly probability: number;
  readonly weight: number;
}

/**
 * The parts without the results of those that were taken to be in another language than most of the film, which are to
 * be made again in that one.
 */
export function otherLanguages({ type, request }: JobRequest, parts: readonly FilmPart[]): FilmPart[] {
  if (type !== "transcribe" || request.language !== "auto") return [...parts];
  const language = languageOf(parts)?.language;
  if (language === undefined) return [...parts];
  return parts.map((part) => {
    const { result, ...rest } = part;
    const isOther = result !== undefined && voiceOf(result) !== null && result.language !== language;
    return isOther && part.language === undefined ? { ...rest, language } : part;
  });
}

/**
 * The result of all parts as one.
 *
 * @throws MirumojiError `LANGUAGE_UNCERTAIN`
 */
export function resultOfParts(job: JobRequest, parts: readonly FilmPart[]): RemoteResult {
  const results = parts.flatMap(({ result }) => result ?? []);
  const [first] = results;
  if (first === undefined) throw new MirumojiError("CHECKPOINT_CORRUPT", "a film without a part");
  const voice = languageOf(parts);
  if (job.type === "transcribe" && job.request.language === "auto")
    checkSure(voice, job.request.language_confidence);
  const sum = (pick: (result: FileResult) => number | undefined): number | undefined => {
    const known = results.flatMap((result) => pick(result) ?? []);
    return known.length === 0 ? undefined : known.reduce((total, value) => total + value, 0);
  };
  const isSilent = results.every(({ warnings }) => warnings.includes(NO_SPEECH));
  const warnings = [...new Set(results.flatMap((result) => result.warnings))];
  const wasAsked = results.some(({ languageProbability }) => languageProbability !== undefined);
  return {
    inParts: true,
    engine: first.engine,
    model: first.model,
    language: voice?.language ?? first.language,
    ...(wasAsked && voice !== null ? { languageProbability: voice.probability } : {}),
    mediaSeconds: Math.max(...parts.map(({ start, result }) => start + (result?.mediaSeconds ?? 0))),
    speechSeconds: sum(({ speechSeconds }) => speechSeconds),
    droppedSegments: sum(({ droppedSegments }) => droppedSegments),
    gpuSeconds: sum(({ gpuSeconds }) => gpuSeconds) ?? 0,
    // A part may well be without speech.
    warnings: isSilent ? warnings : warnings.filter((warning) => warning !== NO_SPEECH),
  };
}

function checkSure(voice: Voice | null, wanted: number): void {
  if (voice === null || voice.probability >= wanted) return;
  throw new MirumojiError(
    "LANGUAGE_UNCERTAIN",
    `the language is probably '${voice.language}', but only with ${voice.probability.toFixed(2)} where ` +
      `${wanted.toFixed(2)} is asked for; name the language, or lower language_confidence`,
  );
}

/** The language that most of the speech is in. */
function languageOf(parts: readonly FilmPart[]): Voice | null {
  const voices = parts.flatMap(({ result, language }) =>
    result === undefined || language !== undefined ? [] : (voiceOf(result) ?? []),
  );
  const total = voices.reduce((sum, { weight }) => sum + weight, 0);
  const languages = [...new Set(voices.map(({ language }) => language))].map((language): Voice => {
    const own = voices.filter((voice) => voice.language === language);
    const sum = own.reduce((all, { probability, weight }) => all + probability * weight, 0);
    return { language, probability: total > 0 ? sum / total : 0, weight: sum };
  });
  return languages.toSorted((a, b) => b.weight - a.weight)[0] ?? null;
}

/** Null of a part in which nobody speaks. */
function voiceOf(result: FileResult): Voice | null {
  const { language, languageProbability = 1, speechSeconds = result.mediaSeconds } = result;
  if (language === undefined || language === "auto" || speechSeconds <= 0) return null;
  return { language, probability: Math.min(1, languageProbability), weight: speechSeconds };
}
