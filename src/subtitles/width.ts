import { eastAsianWidth } from "get-east-asian-width";

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Characters as a reader counts them. */
export function graphemesOf(text: string): string[] {
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

/** Columns of one character with its combining marks: two when it is full-width. */
export function graphemeColumns(grapheme: string): number {
  return eastAsianWidth(grapheme.codePointAt(0) ?? 0x20);
}
