import { jaModel, Parser, zhHansModel, zhHantModel } from "budoux";
import { graphemesOf } from "./width.ts";

/**
 * How little a break at a place disturbs: after punctuation, between phrases, between words, before what only continues
 * a word (as Japanese endings do), or within one.
 */
export type BreakKind = "clause" | "phrase" | "word" | "ending" | "character";

/** A character of a text and how it may be parted from the one before it; null where it may not. */
export interface Unit {
  readonly text: string;
  readonly breakBefore: BreakKind | null;
}

/** Never at the start of a line (JIS X 4051): closing punctuation, small kana, marks that lengthen or repeat. */
const NO_LINE_START =
  /^[\p{Pe}\p{Pf}、。，．・：；:;,.!?！？‼⁇⁈⁉…‥ーヽヾゝゞ々〻～〜％%°ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰ-ㇿｧ-ｯｰ｡｣､･ﾞﾟ]/u;
/** Never at the end of one: opening brackets and quotes. */
const NO_LINE_END = /[\p{Ps}\p{Pi}]$/u;
const CLAUSE_END = /[、。，．!?！？…‥,.;:；：][\p{Pe}\p{Pf}"']*\s*$/u;

const parsers: Readonly<Record<string, Parser>> = {
  ja: new Parser(jaModel),
  zh: new Parser(zhHansModel),
  yue: new Parser(zhHantModel),
};
/** Languages that are written without spaces between words. */
const WITHOUT_SPACES = new Set(["ja", "zh", "yue", "th", "lo", "my", "km", "bo"]);

/** The characters of a text, with the places where a line or a cue may end between them. */
export function unitsOf(text: string, language: string): Unit[] {
  const phrases = WITHOUT_SPACES.has(language) ? phraseStarts(text, language) : new Set<number>();
  const words = WITHOUT_SPACES.has(language) ? wordStarts(text, language) : new Set<number>();
  const units: Unit[] = [];
  let at = 0;
  for (const grapheme of graphemesOf(text)) {
    units.push({ text: grapheme, breakBefore: breakAt(text, at, { grapheme, phrases, words }) });
    at += grapheme.length;
  }
  return units;
}

function breakAt(
  text: string,
  at: number,
  around: { readonly grapheme: string; readonly phrases: Set<number>; readonly words: Set<number> },
): BreakKind | null {
  if (at === 0) return null;
  const before = text.slice(Math.max(0, at - 8), at);
  const { grapheme } = around;
  if (/^\s/u.test(grapheme) || NO_LINE_START.test(grapheme) || NO_LINE_END.test(before)) return null;
  const isSpaced = /\s$/u.test(before);
  if (CLAUSE_END.test(before) && (isSpaced || isWide(before))) return "clause";
  if (isSpaced || around.phrases.has(at)) return "phrase";
  if (around.words.has(at)) return /^\p{Script=Hiragana}/u.test(grapheme) ? "ending" : "word";
  return "character";
}

/** Full-width punctuation ends a clause by itself; a full stop may stand in a number. */
function isWide(before: string): boolean {
  return /[、。，．！？…‥；：][\p{Pe}\p{Pf}"']*$/u.test(before);
}

function phraseStarts(text: string, language: string): Set<number> {
  return new Set(parsers[language]?.parseBoundaries(text));
}

function wordStarts(text: string, language: string): Set<number> {
  const segmenter = new Intl.Segmenter(language, { granularity: "word" });
  return new Set(Array.from(segmenter.segment(text), ({ index }) => index));
}
