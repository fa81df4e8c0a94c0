import { extname } from "node:path";
import type { InputInfo } from "./held-input.ts";
import { type Probe, probe } from "./probe.ts";
import { quickLookForVideo } from "./quick-look.ts";
import { type Survey, surveyFile } from "./survey.ts";

/** Reads the content of a file; null when this machine has no ffprobe. */
export type LookInside = (
  localPath: string,
  about: {
    readonly info: InputInfo;
    readonly needs: "audio" | "video";
    /** Whether the details are needed, which the quickest look does not see. */
    readonly inDetail: boolean;
    readonly signal: AbortSignal;
  },
) => Promise<Insight | null>;

/** A probe, and the survey that is made once when somebody needs it. */
export interface Insight extends Probe {
  survey(signal: AbortSignal): Promise<Survey | null>;
}

/** A job looks into its input twice, before and after its volume is made. */
const REMEMBERED = 256;

/** Looks in the cheapest way that can tell, and remembers what it saw until the file is another one. */
export function rememberingLook(): LookInside {
  const seen = new Map<string, Seen>();
  return async (localPath, { info, needs, inDetail, signal }) => {
    const { dev, ino, size, mtimeMs, ctimeMs, id } = info;
    const place = id ?? [dev, ino, size, mtimeMs, ctimeMs, extname(localPath)].join(":");
    const key = [needs, inDetail, place].join(":");
    const known = seen.get(key);
    if (known !== undefined) return withSurvey(localPath, known);
    const quick =
      needs === "video" && !inDetail && id === undefined ? await quickLookForVideo(localPath, size) : null;
    const probed = quick ?? (await probe(localPath, signal));
    if (probed === null) return null;
    const found: Seen = { probed, survey: null };
    // Failures are not remembered: the file may be repaired meanwhile.
    if (!probed.streams.has(needs)) return withSurvey(localPath, found);
    seen.set(key, found);
    const [oldest] = seen.keys();
    if (seen.size > REMEMBERED && oldest !== undefined) seen.delete(oldest);
    return withSurvey(localPath, found);
  };
}

/** Findings about a file, under whatever path. */
interface Seen {
  readonly probed: Probe;
  survey: Survey | null;
}

/** Adds the survey of all packets, which reads the whole file. A file that is held open has another path each time. */
export function withSurvey(localPath: string, seen: Seen): Insight {
  const { probed } = seen;
  return {
    ...probed,
    survey: async (signal) => {
      if (probed.details !== null) seen.survey ??= await surveyFile(localPath, probed.details, signal);
      return seen.survey;
    },
  };
}
