import { parseSync } from "oxc-parser";
import type { Sources } from "./import-cycles.ts";

/** Words that turn a comment into a riddle when it begins with them: the noun comes late or never. */
const RIDDLES = /^(?:What|Who|Whoever|That|Whatever)\b/u;

/** Comments that begin with one of these words, as `path:line: comment`. */
export function riddles(sources: Sources): string[] {
  return Object.entries(sources).flatMap(([path, text]) =>
    (/\.(?:py|lua)$/u.test(path) ? lineComments(text) : scriptComments(path, text))
      .filter(({ words }) => RIDDLES.test(words))
      .map(({ line, words }) => `${path}:${line}: ${words}`),
  );
}

interface Comment {
  readonly line: number;
  readonly words: string;
}

function scriptComments(path: string, text: string): Comment[] {
  // A line comment that follows another one goes on with its sentence.
  let previousLine = -1;
  return parseSync(path, text).comments.flatMap(({ type, value, start }) => {
    const line = text.slice(0, start).split("\n").length;
    const isAlone = /^\s*$/u.test(text.slice(text.lastIndexOf("\n", start) + 1, start));
    const isContinued = type === "Line" && isAlone && line === previousLine + 1;
    previousLine = type === "Line" ? line : -1;
    return isContinued ? [] : [{ line, words: firstWords(value) }];
  });
}

/** Comments of Python and Lua files, and Python's docstrings. */
function lineComments(text: string): Comment[] {
  const lines = text.split("\n");
  return lines.flatMap((content, index) => {
    const isContinued = [content, lines[index - 1] ?? ""].every((line) => /^\s*(?:#|--)/u.test(line));
    const words = /(?:^|\s)(?:#|--)\s*(.*)$|^\s*"""\s*(.*)$/u.exec(content);
    return words === null || isContinued ? [] : [{ line: index + 1, words: words[1] ?? words[2] ?? "" }];
  });
}

function firstWords(comment: string): string {
  const lines = comment.split("\n").map((line) => line.replace(/^[\s*]+/u, "").trimEnd());
  return lines.find((line) => line !== "") ?? "";
}
