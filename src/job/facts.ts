import { z } from "zod";
import { SUBTITLE_FORMATS } from "./contract.ts";
import type { MACHINE, PATH, WorkingState } from "./machine.ts";

const count = z.number().nonnegative();

const work = {
  /**
   * Speech engine (`faster-whisper`, `whisper.cpp`, `pocketsphinx`), encoder (`h264_nvenc`, `libx264`), or
   * the image's own function (`module:function`), which says neither.
   */
  engine: z.string().min(1),
  mediaSeconds: count,
  gpuSeconds: count,
  warnings: z.array(z.string()),
};

/** A result that lies in the volume. */
export const fileResultSchema = z.object({
  /** The result file's path inside the volume. */
  path: z.string().min(1),
  /** SHA-256 of the file as it was where it was made, hexadecimal; what arrives here must have the same. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  ...work,
});
export type FileResult = z.output<typeof fileResultSchema>;

/** A result that was itself a text: no volume holds it, so it is kept here. */
const textResultSchema = z.object({ packedText: z.string(), ...work });

/** What the function beside the GPU said about its work; checked when it arrives. */
export const remoteResultSchema = z.union([fileResultSchema, textResultSchema]);
export type RemoteResult = z.output<typeof remoteResultSchema>;

/** One file that a job wrote, relative to the media root. */
export const outputFileSchema = z.object({
  path: z.string(),
  format: z.enum([...SUBTITLE_FORMATS, "mp4"]),
  bytes: count,
  /** SHA-256 of the file, hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type OutputFile = z.output<typeof outputFileSchema>;

/** Everything a job can earn; which of it is there depends on the state. */
export const factsSchema = z.object({
  volumeId: z.string().optional(),
  /** The input's path inside the volume; there once the upload is complete. */
  remotePath: z.string().optional(),
  inputBytes: count.optional(),
  sentBytes: count.optional(),
  /** Whether what was sent is the audio track alone; with what is wrong with it, if anything is. */
  audioOnly: z.boolean().optional(),
  inputWarnings: z.array(z.string()).optional(),
  /** How long the input plays, where that could be found out. */
  inputSeconds: count.optional(),
  /** Function call ID; written down before the call is started. */
  callId: z.string().optional(),
  /** When the call was opened, epoch milliseconds. */
  callOpenedAt: count.optional(),
  /** How long the function ran, by the server's clock, where it says so. */
  runSeconds: count.optional(),
  /** The app that the call was started in; it must live as long as the call. */
  appId: z.string().optional(),
  /** `module:function` when the call is of the image's own function, whose result is a plain string. */
  imageFunction: z.string().optional(),
  result: remoteResultSchema.optional(),
  outputs: z.array(outputFileSchema).optional(),
});
export type StoredFacts = z.output<typeof factsSchema>;
type AllFacts = { [K in keyof StoredFacts]-?: Exclude<StoredFacts[K], undefined> };

/** The facts that are surely there in each working state: a job can only be read with what it has earned. */
export interface FactsAt {
  createVolume: object;
  upload: Pick<AllFacts, "volumeId">;
  call: FactsAt["upload"] &
    Pick<AllFacts, "remotePath" | "inputBytes" | "sentBytes"> &
    Pick<StoredFacts, "inputSeconds" | "audioOnly" | "inputWarnings"> &
    Pick<StoredFacts, "callId" | "callOpenedAt" | "runSeconds" | "appId" | "imageFunction">;
  download: FactsAt["call"] & Pick<AllFacts, "callId" | "result">;
  deleteVolume: FactsAt["download"] & Pick<AllFacts, "outputs">;
  undo: StoredFacts;
  completed: FactsAt["deleteVolume"];
  failed: StoredFacts;
}

type RequiredKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? never : K }[keyof T];

/** What a step must return: exactly the facts that its next state adds. */
export type Gained<S extends WorkingState> = Omit<
  FactsAt[(typeof MACHINE)[S]["next"]],
  RequiredKeys<FactsAt[S]>
>;

/** The names of the facts that a state of the path starts with; going back keeps these and drops the rest. */
const EARNED_AT: Record<(typeof PATH)[number], readonly (keyof StoredFacts)[]> = {
  createVolume: [],
  upload: ["volumeId"],
  call: ["volumeId", "remotePath", "inputBytes", "sentBytes"],
  download: ["volumeId", "remotePath", "inputBytes", "sentBytes", "callId", "result"],
  deleteVolume: ["volumeId", "remotePath", "inputBytes", "sentBytes", "callId", "result", "outputs"],
};

const OF_INPUT = ["inputSeconds", "audioOnly", "inputWarnings"] as const;
const OF_CALL = ["callOpenedAt", "runSeconds", "appId", "imageFunction"] as const;

/** Those of them that not every job has. */
const MAY_BE_EARNED_AT: typeof EARNED_AT = {
  createVolume: [],
  upload: [],
  call: OF_INPUT,
  download: [...OF_INPUT, ...OF_CALL],
  deleteVolume: [...OF_INPUT, ...OF_CALL],
};

/** The facts that are left when a job goes back to `state`. */
export function factsFor(state: (typeof PATH)[number], facts: StoredFacts): StoredFacts {
  const kept = [...EARNED_AT[state], ...MAY_BE_EARNED_AT[state]];
  return Object.fromEntries(Object.entries(facts).filter(([name]) => kept.some((key) => key === name)));
}

/** The first fact that a state needs and that is not there, or null. */
export function missingFact(state: WorkingState, facts: StoredFacts): string | null {
  if (state === "undo") return null;
  return EARNED_AT[state].find((name) => facts[name] === undefined) ?? null;
}
