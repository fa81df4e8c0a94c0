import { type ErrorCode, ERRORS, isErrorCode } from "../../job/errors.ts";
import type { JobReport } from "../../job/summary.ts";
import { DEFAULT_LAYOUT } from "../../job/transcribe-options.ts";
import { renderTranscript } from "../../subtitles/render.ts";
import type { Transcript } from "../../subtitles/transcript.ts";
import { problemOf } from "./problem.ts";

/** The answers of OpenAI's audio routes, as its API reference has them. */
export const RESPONSE_FORMATS = ["json", "text", "srt", "verbose_json", "vtt"] as const;

/** Languages that put no blanks between sentences. */
const UNSPACED: ReadonlySet<string> = new Set(["ja", "zh", "yue", "th", "lo", "my", "km"]);

interface Heard {
  readonly task: "transcribe" | "translate";
  readonly transcript: Transcript;
  readonly report: JobReport | null;
}

export function renderOpenAi(
  format: (typeof RESPONSE_FORMATS)[number],
  { task, transcript, report }: Heard,
): { text: string; type: string } {
  const text = transcript.segments
    .map((segment) => segment.text.trim())
    .filter((words) => words !== "")
    .join(UNSPACED.has(transcript.language) ? "" : " ");
  switch (format) {
    case "srt":
    case "vtt":
      return {
        text: renderTranscript(format, transcript, { engine: "", options: DEFAULT_LAYOUT }),
        type: "text/plain; charset=utf-8",
      };
    case "text":
      return { text: `${text}\n`, type: "text/plain; charset=utf-8" };
    case "json":
      return json({ text });
    case "verbose_json":
      return json({
        task,
        language: transcript.language,
        duration: report?.mediaSeconds ?? transcript.segments.at(-1)?.end ?? 0,
        text,
        segments: transcript.segments.map((segment, id) => ({
          id,
          seek: 0,
          start: segment.start,
          end: segment.end,
          text: segment.text,
          tokens: [],
          temperature: 0,
          avg_logprob: segment.avgLogProb ?? 0,
          compression_ratio: segment.compressionRatio ?? 1,
          no_speech_prob: segment.noSpeechProb ?? 0,
        })),
      });
  }
}

/**
 * An error as OpenAI's clients read it. They try again after 5xx and 409: after a job has ended, which its worker tried
 * as often as it may help, that would be another job, and be paid again.
 */
export function openAiError(thrown: unknown): {
  status: number;
  code: ErrorCode;
  body: object;
  mayTryAgain: boolean;
} {
  const { jobCode } = thrown as { jobCode?: unknown };
  const isOfJob = isErrorCode(jobCode) && thrown instanceof Error;
  const { status, code, detail } = isOfJob
    ? { status: ERRORS[jobCode].kind === "input" ? 400 : 500, code: jobCode, detail: thrown.message }
    : problemOf(thrown);
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  return {
    status: status === 409 ? 400 : status,
    code: code as ErrorCode,
    body: { error: { message: detail, type, param: null, code } },
    mayTryAgain: !isOfJob,
  };
}

function json(value: object): { text: string; type: string } {
  return { text: JSON.stringify(value), type: "application/json; charset=utf-8" };
}
