import { toMirumojiError } from "../job/errors.ts";
import { writeKept } from "../subtitles/kept.ts";
import type { StepJob, StepTools } from "./context.ts";
import { fetchParts } from "./fetch-result.ts";

/** Longest time for it: the volume costs nothing, but an undo must come to an end. */
const KEEP_MS = 20_000;

/** Keeps what was transcribed of a film whose job ends early, before its volume goes. It never fails. */
export async function keepPartial(step: StepJob<"undo">, tools: StepTools): Promise<void> {
  const { id, request, facts, enteredAt, report, warn } = step;
  const { volumeId, parts = [] } = facts;
  const first = parts.find(({ result }) => result !== undefined)?.result;
  if (request.type !== "transcribe" || volumeId === undefined || first === undefined) return;
  const signal = AbortSignal.any([step.signal, AbortSignal.timeout(KEEP_MS)]);
  try {
    const transcript = await fetchParts({ volumeId, signal, report, enteredAt }, tools, parts);
    const kept = { engine: first.engine, layout: request.request, transcript, partial: true as const };
    await tools.transcripts.put(id, writeKept(kept));
  } catch (error) {
    warn(`what was transcribed of the film is not kept: ${toMirumojiError(error).message}`);
  }
}
