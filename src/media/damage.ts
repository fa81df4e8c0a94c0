import { tagOf } from "./choose-audio.ts";
import type { Insight } from "./look-inside.ts";
import type { ProbeDetails, Stream } from "./probe.ts";

/** Containers whose lengths are worked out, not written down. */
const WITHOUT_PROMISE = ["mpegts", "mpeg", "ogg", "aac"];

/** A warning when a file promises more of a sound than could be decoded; estimates are no promises. */
export async function damageOf(
  found: Insight,
  { stream, decodedSeconds, signal }: { stream: Stream; decodedSeconds: number; signal: AbortSignal },
): Promise<string[]> {
  const { details, seconds, startSeconds } = found;
  if (details === null || details.isLengthEstimated) return [];
  if (WITHOUT_PROMISE.some((name) => details.formats.has(name))) return [];
  // Matroska's lengths count from 0, not from where the first track begins.
  const before = details.formats.has("matroska") ? Math.max(0, startSeconds) : 0;
  const written = promisedSeconds(details, stream);
  const promised = written === null ? null : written - before;
  if (promised !== null) return isShort(decodedSeconds, promised) ? [warning(decodedSeconds, promised)] : [];
  if (seconds === null || !isShort(decodedSeconds, seconds - before)) return [];
  // Only the file as a whole says how long it is, and any of its streams may be the longest.
  const survey = await found.survey(signal);
  const end = (survey?.endSeconds ?? seconds) - startSeconds;
  return isShort(end, seconds - before) ? [warning(decodedSeconds, seconds - before)] : [];
}

function promisedSeconds({ formats }: ProbeDetails, stream: Stream): number | null {
  if (!formats.has("matroska")) return stream.duration ?? null;
  const [, hours, minutes, seconds] =
    /^(\d+):(\d\d):(\d\d(?:\.\d+)?)/u.exec(tagOf(stream, "duration") ?? "") ?? [];
  return hours === undefined ? null : Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

function isShort(seconds: number, promised: number): boolean {
  return seconds < promised - Math.max(1, promised * 0.02);
}

function warning(seconds: number, promised: number): string {
  return `only ${seconds.toFixed(1)} of ${promised.toFixed(1)} s could be decoded; the file is damaged`;
}
