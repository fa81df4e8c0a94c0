/*
 * One film over several containers: where it is cut, and whether that pays. Pure.
 */

/** Loudness of a sound over its time. */
export interface Levels {
  readonly hopSeconds: number;
  /** Level of each hop in decibels of full scale. */
  readonly db: ArrayLike<number>;
}

/** A stretch of the sound, in seconds of all of it. */
export interface PartSpan {
  readonly start: number;
  readonly end: number;
}

export interface PartRules {
  readonly goalSeconds: number;
  /** Bounds of a part, without what it has in common with its neighbours. */
  readonly leastSeconds: number;
  readonly mostSeconds: number;
  /** Where there is no pause, each neighbour hears so much of the other. */
  readonly overlapSeconds: number;
  /** Silence as long as this is a pause; those inside words and between most words are shorter. */
  readonly pauseSeconds: number;
}

export const PART_RULES: PartRules = {
  goalSeconds: 300,
  leastSeconds: 120,
  mostSeconds: 600,
  overlapSeconds: 6,
  pauseSeconds: 0.5,
};

/** A pause is at least so much below the loud moments around it, in decibels. */
const LEAST_CONTRAST = 12;
/** Silence for sure: so much below them, and near the quietest moments. */
const CONTRAST = 30;
const ABOVE_FLOOR = 5;
/** A pause that is a second longer is worth a cut that is so many seconds farther from its goal. */
const LONGER_PAUSE_WORTH = 30;
const LONGEST_THAT_COUNTS = 2;
/** How far from its goal the quietest moment is looked for where there is no pause. */
const QUIETEST_WITHIN_SECONDS = 60;

/** How many containers a film is worth, and the reason where those are fewer than were asked for. */
export interface Worth {
  readonly containers: number;
  readonly why: string | null;
}

/**
 * Decides how many containers a film gets. Each one has to start and to load the model, which costs as much as so many
 * seconds of work: it must have more work than that.
 *
 * `speed`: paid seconds for each second of sound. `startSeconds`: start of a container.
 */
export function containersWorth(
  film: {
    readonly asked: number;
    readonly seconds: number;
    readonly speed: number;
    readonly startSeconds: number;
  },
  { leastSeconds }: PartRules = PART_RULES,
): Worth {
  const { asked, seconds, speed, startSeconds } = film;
  const byLength = Math.floor(seconds / leastSeconds);
  if (byLength < 2) {
    return { containers: 1, why: `${seconds.toFixed(0)} s of sound are less than two parts` };
  }
  const work = seconds * speed;
  const byWork = startSeconds > 0 ? Math.max(1, Math.floor(work / startSeconds)) : asked;
  const containers = Math.min(asked, byLength, byWork);
  if (containers === asked) return { containers, why: null };
  const why =
    byWork < byLength
      ? `about ${work.toFixed(0)} s of work, and each container takes ${startSeconds} s to start`
      : `${seconds.toFixed(0)} s of sound, and a part has at least ${leastSeconds} s`;
  return { containers, why };
}

/**
 * Cuts a sound into parts at its pauses, about as many for each container as for the others. Parts follow each other
 * without a gap; where there is no pause they overlap, so that each word is whole in one of them.
 */
export function planParts(
  levels: Levels,
  { seconds, containers }: { readonly seconds: number; readonly containers: number },
  rules: PartRules = PART_RULES,
): PartSpan[] {
  const count = partCount(seconds, containers, rules);
  const parts: PartSpan[] = [];
  let from = 0;
  let start = 0;
  for (let left = count; left > 1; left -= 1) {
    const rest = seconds - from;
    const window = {
      start: from + Math.max(rules.leastSeconds, rest - rules.mostSeconds * (left - 1)),
      end: from + Math.min(rules.mostSeconds, rest - rules.leastSeconds * (left - 1)),
    };
    const { at, isPause } = bestCut(levels, window, from + rest / left, rules);
    const shared = isPause ? 0 : rules.overlapSeconds;
    parts.push({ start, end: rounded(Math.min(seconds, at + shared)) });
    start = rounded(Math.max(0, at - shared));
    from = at;
  }
  parts.push({ start, end: seconds });
  return parts;
}

/** As many parts for each container as for the others, each about as long as the goal. */
function partCount(seconds: number, containers: number, rules: PartRules): number {
  const most = Math.max(1, Math.floor(seconds / rules.leastSeconds));
  const least = Math.max(1, Math.ceil(seconds / rules.mostSeconds));
  const rounds = Math.max(1, Math.round(seconds / rules.goalSeconds / containers));
  return Math.min(most, Math.max(least, rounds * containers));
}

function bestCut(
  levels: Levels,
  window: PartSpan,
  goal: number,
  rules: PartRules,
): { at: number; isPause: boolean } {
  const target = Math.min(window.end, Math.max(window.start, goal));
  let best: { at: number; cost: number } | null = null;
  for (const pause of pausesIn(levels, window, rules.pauseSeconds)) {
    // Not at the edge of a word.
    const margin = rules.pauseSeconds / 2;
    const at = Math.min(pause.end - margin, Math.max(pause.start + margin, target));
    const length = Math.min(LONGEST_THAT_COUNTS, pause.end - pause.start);
    const cost = Math.abs(at - target) - LONGER_PAUSE_WORTH * length;
    if (best === null || cost < best.cost) best = { at, cost };
  }
  if (best !== null) return { at: rounded(best.at), isPause: true };
  return { at: rounded(quietest(levels, window, target)), isPause: false };
}

/** Pauses inside a window, by the loud and quiet moments of that window. */
export function pausesIn({ hopSeconds, db }: Levels, window: PartSpan, leastSeconds: number): PartSpan[] {
  const first = Math.max(0, Math.ceil(window.start / hopSeconds));
  const last = Math.min(db.length, Math.floor(window.end / hopSeconds));
  const heard = Array.from({ length: Math.max(0, last - first) }, (_, index) => db[first + index] ?? 0);
  const sorted = heard.toSorted((a, b) => a - b);
  const floor = sorted[Math.floor(sorted.length * 0.05)] ?? 0;
  const loud = sorted[Math.floor(sorted.length * 0.95)] ?? 0;
  const silent = Math.min(loud - LEAST_CONTRAST, Math.max(loud - CONTRAST, floor + ABOVE_FLOOR));
  // Nothing at all is to be heard: any moment will do.
  const isQuiet = (level: number) => level <= silent || level <= -70;
  const pauses: PartSpan[] = [];
  let begun: number | null = null;
  for (let hop = 0; hop <= heard.length; hop += 1) {
    const level = heard[hop];
    if (level !== undefined && isQuiet(level)) begun ??= hop;
    else if (begun !== null) {
      const pause = { start: (first + begun) * hopSeconds, end: (first + hop) * hopSeconds };
      if (pause.end - pause.start >= leastSeconds - 1e-9) pauses.push(pause);
      begun = null;
    }
  }
  return pauses;
}

/** The quietest moment near the goal. */
function quietest({ hopSeconds, db }: Levels, window: PartSpan, target: number): number {
  const from = Math.max(window.start, target - QUIETEST_WITHIN_SECONDS);
  const to = Math.min(window.end, target + QUIETEST_WITHIN_SECONDS);
  let best = { at: target, level: Number.POSITIVE_INFINITY };
  for (let hop = Math.ceil(from / hopSeconds); (hop + 1) * hopSeconds <= to; hop += 1) {
    const level = db[hop] ?? 0;
    if (level < best.level) best = { at: (hop + 0.5) * hopSeconds, level };
  }
  return best.at;
}

/** To the millisecond, as the handler reads it. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
