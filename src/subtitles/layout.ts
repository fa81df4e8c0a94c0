import { unitsOf } from "./breaks.ts";
import { type Cue, cueOf } from "./cue.ts";
import { pace } from "./pace.ts";
import { type LayoutOptions, rulesFor } from "./rules.ts";
import { splitSegment } from "./split.ts";
import { timedUnits } from "./times.ts";
import type { Transcript } from "./transcript.ts";

/** The cues of a transcript: each segment as it is (`raw`), or as they can be read. */
export function cuesOf({ language, segments }: Transcript, options: LayoutOptions): Cue[] {
  const spoken = segments.flatMap((segment) => {
    const text = oneLine(segment.text);
    if (text === "") return [];
    const { start, end } = segment;
    return [timedUnits({ ...segment, text, end: Math.max(start, end) }, unitsOf(text, language))];
  });
  if (options.layout === "raw") return spoken.map((units) => cueOf([units]));
  const rules = rulesFor(language, options);
  return pace(
    spoken.flatMap((units) => splitSegment(units, rules)),
    rules,
  );
}

/** Lines of a cue as one; full-width characters need no space between them. */
export function joinLines(text: string): string {
  return text
    .replaceAll(
      /(?<=[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef])\s*\n\s*(?=[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef])/gu,
      "",
    )
    .replaceAll(/\s*\n\s*/gu, " ");
}

/** A blank line inside a cue would end it, and `-->` would start another one. */
export function oneLine(text: string): string {
  return text.replace(/\s+/gu, " ").replaceAll("-->", "→").trim();
}
