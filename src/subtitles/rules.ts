/** Limits of a reader. */
export interface LayoutRules {
  /** Widest line, in columns: a full-width character has two. */
  readonly maxColumns: number;
  readonly maxLines: number;
  /** Fastest text, in columns a second. */
  readonly maxColumnsPerSecond: number;
}

/** Fields of a request that change the rules of a language; in characters of that language. */
export interface LayoutOptions {
  readonly layout: "readable" | "raw";
  readonly max_line_width: number | null;
  readonly max_lines: number;
  readonly max_cps: number | null;
}

export const SHORTEST_CUE_SECONDS = 0.5;
export const LONGEST_CUE_SECONDS = 7;
/** Two frames of film; players blink between two cues that have less between them. */
export const GAP_SECONDS = 2 / 24;

/** Languages whose characters are full-width, with their line and reading speed in characters. */
const FULL_WIDTH: Readonly<Record<string, { readonly width: number; readonly cps: number }>> = {
  ja: { width: 16, cps: 8 },
  zh: { width: 16, cps: 10 },
  yue: { width: 16, cps: 10 },
  ko: { width: 16, cps: 10 },
};
const OTHERS = { width: 42, cps: 20 };

/** The rules of a language, as the request changes them. */
export function rulesFor(
  language: string,
  { max_line_width, max_lines, max_cps }: Omit<LayoutOptions, "layout">,
): LayoutRules {
  const own = FULL_WIDTH[language];
  const columns = own === undefined ? 1 : 2;
  const { width, cps } = own ?? OTHERS;
  return {
    maxColumns: (max_line_width ?? width) * columns,
    maxLines: max_lines,
    maxColumnsPerSecond: (max_cps ?? cps) * columns,
  };
}
