import type { Segment } from "./transcript.ts";

/** Segments of one part of a film, and the stretch of sound that they were heard in. */
export interface HeardPart {
  readonly start: number;
  readonly end: number;
  readonly segments: readonly Segment[];
}

/** The same word is heard at about the same time in both parts that hold it, in seconds. */
const SAME_WORD_WITHIN = 1;

/** A word, or a segment that has none, with its place in the text of its segment. */
interface Unit {
  readonly segment: number;
  readonly word: number | null;
  readonly from: number;
  readonly to: number;
  readonly start: number;
  readonly end: number;
  readonly key: string;
}

/**
 * Joins the parts of a film, in their order. Where two overlap, both have heard the same words: one takes over from the
 * other at a word that they agree on, as near as possible to the middle, so that none is there twice or not at all.
 */
export function joinParts(parts: readonly HeardPart[]): Segment[] {
  let joined: readonly Segment[] = [];
  let end = 0;
  for (const part of parts) {
    joined = part.start < end ? joinTwo(joined, part, end) : [...joined, ...part.segments];
    end = Math.max(end, part.end);
  }
  return [...joined];
}

function joinTwo(before: readonly Segment[], after: HeardPart, end: number): Segment[] {
  const left = unitsOf(before);
  const right = unitsOf(after.segments);
  const { keptLeft, firstRight } = takeOver(left, right, { from: after.start, to: end });
  const head = headOf(before, left, keptLeft);
  const tail = tailOf(after.segments, right, firstRight);
  return stitched(head, tail);
}

interface Cut {
  readonly segments: readonly Segment[];
  /** Whether the segment at the cut goes on beyond it. */
  readonly isOpen: boolean;
  /** Characters between the words at the cut. */
  readonly between: string;
}

/** How many units of the left side stay, and the first of the right side that does. */
function takeOver(
  left: readonly Unit[],
  right: readonly Unit[],
  overlap: { readonly from: number; readonly to: number },
): { keptLeft: number; firstRight: number } {
  const middle = (overlap.from + overlap.to) / 2;
  const common = agreement(
    left.flatMap((unit, index) => (unit.end >= overlap.from ? [{ unit, index }] : [])),
    right.flatMap((unit, index) => (unit.start <= overlap.to ? [{ unit, index }] : [])),
  );
  const pivot = common.toSorted((a, b) => Math.abs(a.at - middle) - Math.abs(b.at - middle))[0];
  if (pivot !== undefined) return { keptLeft: pivot.left + 1, firstRight: pivot.right + 1 };
  const at = quietMoment(left, right, { ...overlap, middle });
  const keptLeft = left.findIndex((unit) => middleOf(unit) >= at);
  const firstRight = right.findIndex((unit) => middleOf(unit) >= at);
  return {
    keptLeft: keptLeft < 0 ? left.length : keptLeft,
    firstRight: firstRight < 0 ? right.length : firstRight,
  };
}

interface Placed {
  readonly unit: Unit;
  readonly index: number;
}

/** The longest common sequence of words that were heard at about the same time. */
function agreement(
  left: readonly Placed[],
  right: readonly Placed[],
): { left: number; right: number; at: number }[] {
  const isSame = (a: Unit, b: Unit): boolean =>
    a.key !== "" && a.key === b.key && Math.abs(middleOf(a) - middleOf(b)) <= SAME_WORD_WITHIN;
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  const length = (row: number, column: number): number => lengths[row * width + column] ?? 0;
  for (let row = left.length - 1; row >= 0; row -= 1) {
    for (let column = right.length - 1; column >= 0; column -= 1) {
      const [a, b] = [left[row], right[column]];
      lengths[row * width + column] =
        a !== undefined && b !== undefined && isSame(a.unit, b.unit)
          ? length(row + 1, column + 1) + 1
          : Math.max(length(row + 1, column), length(row, column + 1));
    }
  }
  const found: { left: number; right: number; at: number }[] = [];
  let [row, column] = [0, 0];
  for (;;) {
    const [a, b] = [left[row], right[column]];
    if (a === undefined || b === undefined) return found;
    if (isSame(a.unit, b.unit)) {
      found.push({ left: a.index, right: b.index, at: middleOf(a.unit) });
      row += 1;
      column += 1;
    } else if (length(row + 1, column) >= length(row, column + 1)) row += 1;
    else column += 1;
  }
}

/** A moment of the overlap that is inside as few words as possible, near its middle. */
function quietMoment(
  left: readonly Unit[],
  right: readonly Unit[],
  { from, to, middle }: { readonly from: number; readonly to: number; readonly middle: number },
): number {
  const near = [...left, ...right].filter(({ start, end }) => end >= from && start <= to);
  const moments = [middle, ...near.flatMap(({ start, end }) => [start, end])]
    .filter((at) => at >= from && at <= to)
    .map((at) => ({ at, cuts: near.filter(({ start, end }) => start < at && at < end).length }));
  moments.sort((a, b) => a.cuts - b.cuts || Math.abs(a.at - middle) - Math.abs(b.at - middle));
  return moments[0]?.at ?? middle;
}

function headOf(segments: readonly Segment[], units: readonly Unit[], kept: number): Cut {
  const last = units[kept - 1];
  if (last === undefined) return { segments: [], isOpen: false, between: "" };
  const whole = segments.slice(0, last.segment);
  const own = segments[last.segment];
  if (own === undefined) return { segments: whole, isOpen: false, between: "" };
  const following = units[kept];
  if (following?.segment !== last.segment) return { segments: [...whole, own], isOpen: false, between: "" };
  const words = own.words?.slice(0, (last.word ?? 0) + 1);
  const cut = { ...own, end: last.end, text: own.text.slice(0, last.to).trimEnd(), ...(words && { words }) };
  return { segments: [...whole, cut], isOpen: true, between: own.text.slice(last.to, following.from) };
}

function tailOf(segments: readonly Segment[], units: readonly Unit[], first: number): Cut {
  const unit = units[first];
  if (unit === undefined) return { segments: [], isOpen: false, between: "" };
  const own = segments[unit.segment];
  const rest = segments.slice(unit.segment + 1);
  if (own === undefined) return { segments: rest, isOpen: false, between: "" };
  const before = units[first - 1];
  if (before?.segment !== unit.segment) return { segments: [own, ...rest], isOpen: false, between: "" };
  const words = own.words?.slice(unit.word ?? 0);
  const cut = {
    ...own,
    start: unit.start,
    text: own.text.slice(unit.from).trimStart(),
    ...(words && { words }),
  };
  return { segments: [cut, ...rest], isOpen: true, between: own.text.slice(before.to, unit.from) };
}

/** Both sides as one; a segment that was cut on either side is one again. */
function stitched(head: Cut, tail: Cut): Segment[] {
  const last = head.segments.at(-1);
  const next = tail.segments[0];
  if (last === undefined || next === undefined) return [...head.segments, ...tail.segments];
  const start = Math.min(Math.max(next.start, last.end), next.end);
  if (!tail.isOpen) return [...head.segments, { ...next, start }, ...tail.segments.slice(1)];
  const words = last.words && next.words ? [...last.words, ...next.words] : undefined;
  const whole: Segment = {
    ...last,
    end: Math.max(last.end, next.end),
    text: `${last.text}${tail.between || head.between}${next.text}`,
    ...(words && { words }),
  };
  return [...head.segments.slice(0, -1), whole, ...tail.segments.slice(1)];
}

function middleOf({ start, end }: Unit): number {
  return (start + end) / 2;
}

function unitsOf(segments: readonly Segment[]): Unit[] {
  return segments.flatMap(({ start, end, text, words }, segment): Unit[] => {
    const places = words === undefined ? null : placesOf(text, words);
    if (words === undefined || places === null) {
      return [{ segment, word: null, from: 0, to: text.length, start, end, key: keyOf(text) }];
    }
    return words.map((word, index) => ({
      segment,
      word: index,
      from: places[index]?.from ?? 0,
      to: places[index]?.to ?? text.length,
      start: word.start,
      end: word.end,
      key: keyOf(word.text),
    }));
  });
}

/** Where each word stands in the text; null when they are not what it is made of. */
function placesOf(
  text: string,
  words: readonly { readonly text: string }[],
): { from: number; to: number }[] | null {
  const places: { from: number; to: number }[] = [];
  let at = 0;
  for (const word of words) {
    const plain = word.text.trim();
    const from = text.indexOf(plain, at);
    if (from < 0) return null;
    at = from + plain.length;
    places.push({ from, to: at });
  }
  return places.length > 0 ? places : null;
}

/** Word without case and punctuation: two hearings may differ in those. */
function keyOf(text: string): string {
  return text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
}
