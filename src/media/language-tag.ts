/** Names that ICU keeps apart and files do not. */
const SAME: ReadonlyMap<string, string> = new Map([
  ["fil", "tl"],
  ["nb", "no"],
  ["mo", "ro"],
]);
const NO_LANGUAGE: ReadonlySet<string> = new Set(["", "und", "mis", "mul", "zxx"]);

/**
 * One name for every spelling of a language: `jpn`, `ja` and `ja-JP` are `ja`; null where nothing is said. The first
 * where there are several.
 */
export function languageOf(tag: string | undefined): string | null {
  const code =
    (tag ?? "")
      .split(/[-_,;]/u)[0]
      ?.trim()
      .toLowerCase() ?? "";
  if (NO_LANGUAGE.has(code)) return null;
  try {
    const { language } = new Intl.Locale(code);
    return SAME.get(language) ?? language;
  } catch {
    return code;
  }
}
