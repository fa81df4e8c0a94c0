import type { SubtitleFormat } from "../job/contract.ts";
import { cuesOf, oneLine } from "./layout.ts";
import type { LayoutOptions } from "./rules.ts";
import type { Transcript } from "./transcript.ts";
import { ass } from "./formats/ass.ts";
import { lrc } from "./formats/lrc.ts";
import { srt, vtt } from "./formats/srt.ts";
import { tsv } from "./formats/tsv.ts";

/** Mirumoji joins segment texts with the Japanese full stop. */
const JOINER = "。";

export interface RenderOptions extends LayoutOptions {
  /** WebVTT with a time before each word. */
  readonly word_times: boolean;
}

/** One text file from the segments; the same segments always give the same bytes. */
export function renderTranscript(
  format: SubtitleFormat,
  transcript: Transcript,
  { engine, options }: { readonly engine: string; readonly options: RenderOptions },
): string {
  const { language } = transcript;
  const cues = () => cuesOf(transcript, options);
  switch (format) {
    case "srt":
      return srt(cues());
    case "vtt":
      return vtt(cues(), { wordTimes: options.word_times });
    case "ass":
      return ass(cues());
    case "lrc":
      return lrc(cues());
    case "tsv":
      return tsv(cues());
    case "json":
      return `${JSON.stringify({ v: 1, language, engine, segments: spoken(transcript) }, null, 2)}\n`;
    case "txt":
      return spoken(transcript)
        .map(({ text }) => `${text}\n`)
        .join("");
    case "joined":
      return spoken(transcript)
        .map(({ text }) => text)
        .join(JOINER);
  }
}

function spoken({ segments }: Transcript): Transcript["segments"] {
  return segments
    .map((segment) => ({ ...segment, text: oneLine(segment.text) }))
    .filter(({ text }) => text !== "");
}
