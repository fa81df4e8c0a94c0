import { FIRST_SPEED } from "../job/budget.ts";
import { containersWorth, type PartSpan, planParts } from "../job/film-parts.ts";
import type { Gained } from "../job/facts.ts";
import type { AudioTrack } from "../ports/media.ts";
import type { StepJob, StepTools } from "./context.ts";

/** Containers that a job asks for; the operator's number where it says nothing. */
function askedFor({ request }: StepJob<"upload">, { parallel }: StepTools): number {
  return request.type === "transcribe" ? (request.request.parallel ?? parallel.containers) : 1;
}

/**
 * Whether several containers are wanted for the film, and whether it is worth so much that its sound is sent for it even
 * where the file is smaller: only sound that is taken out is known to be cut well.
 */
export async function containersFor(
  step: StepJob<"upload">,
  seconds: number | null,
  tools: StepTools,
): Promise<{ isWanted: boolean; isForced: boolean }> {
  const asked = askedFor(step, tools);
  if (asked < 2) return { isWanted: false, isForced: false };
  if (seconds === null) return { isWanted: true, isForced: false };
  const { containers } = await worthOf(step, tools, { asked, seconds });
  return { isWanted: true, isForced: containers > 1 };
}

/** Cuts a film whose sound was sent into parts, if several containers are wanted and pay. */
export async function planFilm(
  step: StepJob<"upload">,
  track: AudioTrack,
  tools: StepTools,
): Promise<Pick<Gained<"upload">, "parts" | "parallel">> {
  const levels = track.levels();
  if (levels === null) return {};
  const asked = askedFor(step, tools);
  const seconds = Math.round(levels.db.length * levels.hopSeconds * 1000) / 1000;
  const { containers, why } = await worthOf(step, tools, { asked, seconds });
  const parts: PartSpan[] = containers > 1 ? planParts(levels, { seconds: track.seconds(), containers }) : [];
  const isCut = parts.length > 1;
  return {
    parallel: {
      asked,
      containers: isCut ? Math.min(containers, parts.length) : 1,
      parts: Math.max(1, parts.length),
      ...(why === null ? {} : { why }),
    },
    ...(isCut ? { parts: parts.map((part) => ({ ...part, failures: 0 })) } : {}),
  };
}

async function worthOf(
  step: StepJob<"upload">,
  { parallel: { startSeconds } }: StepTools,
  { asked, seconds }: { readonly asked: number; readonly seconds: number },
) {
  const speed = (await step.speed()) ?? FIRST_SPEED.transcribe;
  return containersWorth({ asked, seconds, speed, startSeconds });
}
