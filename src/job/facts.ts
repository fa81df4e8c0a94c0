import { z } from "zod";
import { SUBTITLE_FORMATS } from "./contract.ts";
import { cutText } from "./cut-text.ts";
import { PATH, type WorkingState } from "./machine.ts";

const count = z.number().nonnegative();

/** The function may say anything; a job's records keep this much of it. */
const NAME_CHARS = 200;
const WARNING_CHARS = 1000;
const MOST_WARNINGS = 50;

const TITLE_CHARS = 200;
const MOST_TRACKS = 50;

/** Seconds of the parts of a call, as they were measured beside the GPU. */
export const callPartsSchema = z.object({
  /** The input out of the volume. */
  download: count,
  /** The model into memory. */
  load: count,
  /** All other work. */
  compute: count,
  /** The result into the volume. */
  upload: count,
});
export type CallParts = z.output<typeof callPartsSchema>;

/** A track of the input that a job used, and the reason. */
export const trackSchema = z.object({
  kind: z.enum(["video", "audio", "subtitle"]),
  /** Number among the input's tracks of its kind, from 1. */
  number: z.int().positive(),
  codec: z.string().optional(),
  language: z.string().optional(),
  title: z
    .string()
    .transform((title) => cutText(title, TITLE_CHARS))
    .optional(),
  why: z.string(),
});
export type TrackReport = z.output<typeof trackSchema>;
const tracksSchema = z.array(trackSchema).transform((tracks) => tracks.slice(0, MOST_TRACKS));

const work = {
  /**
   * Speech engine (`faster-whisper`, `whisper.cpp`, `pocketsphinx`), encoder (`h264_nvenc`, `libx264`), or
   * the image's own function (`module:function`), which says neither.
   */
  engine: z
    .string()
    .min(1)
    .transform((name) => cutText(name, NAME_CHARS)),
  /** The speech model, where the engine has several. */
  model: z.string().optional(),
  /** The language that was spoken, and how sure the engine was where it had to find out. */
  language: z.string().optional(),
  languageProbability: z.number().min(0).max(1).optional(),
  mediaSeconds: count,
  /** How much of the media is speech, and how many segments were dropped because nobody said them. */
  speechSeconds: count.optional(),
  droppedSegments: count.optional(),
  gpuSeconds: count,
  /** How long the call's parts took; the image's own functions do not say. */
  seconds: callPartsSchema.optional().catch(undefined),
  warnings: z
    .array(z.string())
    .transform((texts) => texts.slice(0, MOST_WARNINGS).map((text) => cutText(text, WARNING_CHARS))),
  tracks: tracksSchema.optional(),
};

/** A result that lies in the volume. */
export const fileResultSchema = z.object({
  /** The result file's path inside the volume. */
  path: z.string().min(1).max(4096),
  /** SHA-256 of the file as it was where it was made, hexadecimal; what arrives here must have the same. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  ...work,
});
export type FileResult = z.output<typeof fileResultSchema>;

/** A result that is itself a text: no volume holds it, so the checkpoint does. */
const textResultSchema = z.object({ packedText: z.string(), ...work });

/** A transcript that an earlier job made of the same sound, itself; no call was needed. */
const cachedResultSchema = z.object({ packedTranscript: z.string(), cachedFrom: z.string(), ...work });

/** A result that is several files, one for each part of a film; which ones say its parts. */
const partsResultSchema = z.object({ inParts: z.literal(true), ...work });

/** Result of the GPU function; checked when it arrives. */
export const remoteResultSchema = z.union([
  fileResultSchema,
  textResultSchema,
  partsResultSchema,
  cachedResultSchema,
]);
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

/** An upload to elsewhere that was begun: its output as it is shown, and the store's ID of it. */
export const outputUploadSchema = z.object({ path: z.string(), id: z.string() });
export type OutputUpload = z.output<typeof outputUploadSchema>;

/** Signs by which an input that is elsewhere is known again. */
export const inputIdentitySchema = z.object({
  sizeBytes: count.nullable(),
  etag: z.string().max(1000).optional(),
  modified: z.string().max(100).optional(),
});
export type InputIdentity = z.output<typeof inputIdentitySchema>;

/** Work of a language model on the text of a job. */
export const editSchema = z.object({
  model: z.string(),
  fixed: z.boolean(),
  translatedTo: z.string().nullable(),
  /** How many sentences it edited; the others stayed as they were. */
  sentences: count,
  inputTokens: count,
  outputTokens: count,
  /** Null where the operator gave no prices. */
  usd: count.nullable(),
  warnings: z.array(z.string()),
});
export type EditReport = z.output<typeof editSchema>;

/** A part of a film that is transcribed by itself, and what came of it. */
export const filmPartSchema = z.object({
  /** The stretch of sound that is heard for it, in seconds of all of it. */
  start: count,
  end: count,
  /** How often it was made in vain. */
  failures: z.int().nonnegative().default(0),
  /** The language that the film was found to be in, where that has to be told. */
  language: z.string().optional(),
  result: fileResultSchema.optional(),
});
export type FilmPart = z.output<typeof filmPartSchema>;

/** How a film was spread over containers, and why so. */
export const parallelSchema = z.object({
  /** Containers that were asked for, and that may run at the same time. */
  asked: count,
  containers: count,
  parts: count,
  /** Reason for fewer than were asked for. */
  why: z.string().optional(),
});

/** An input of a call with several: a part of the film. */
export const partInputSchema = z.object({
  part: z.int().nonnegative(),
  /** When it was put, epoch milliseconds. */
  sentAt: count,
  /** How long it ran; there once it has ended. */
  seconds: count.optional(),
});
export type PartInput = z.output<typeof partInputSchema>;

type PathState = (typeof PATH)[number];

interface Fact {
  /** The state whose step earns it. */
  readonly by: PathState;
  /** Whether every job that leaves that state has it. */
  readonly always: boolean;
  readonly schema: z.ZodType;
}

/**
 * Everything a job can earn: one row per fact, and the only list of them. Types, the stored schema, what a state needs
 * and what is left when a job goes back are derived from it.
 */
const FACTS = {
  volumeId: { by: "createVolume", always: true, schema: z.string() },
  /** Real places of the outputs below the media root; claimed for this job until it ends. */
  targets: { by: "createVolume", always: false, schema: z.array(z.string()) },
  /** The input as it was when it was looked at first, if it is elsewhere. */
  inputIdentity: { by: "createVolume", always: false, schema: inputIdentitySchema },
  /** The input's path inside the volume; there once the upload is complete. */
  remotePath: { by: "upload", always: true, schema: z.string() },
  inputBytes: { by: "upload", always: true, schema: count },
  sentBytes: { by: "upload", always: true, schema: count },
  /** Whether the audio track alone was sent, and what is wrong with it, if anything is. */
  audioOnly: { by: "upload", always: false, schema: z.boolean() },
  inputWarnings: { by: "upload", always: false, schema: z.array(z.string()) },
  /** The track that was taken out of the input, when it was. */
  inputTracks: { by: "upload", always: false, schema: tracksSchema },
  /** How long the input plays, where that could be found out. */
  inputSeconds: { by: "upload", always: false, schema: count },
  /** SHA-256 of the audio track that was sent, hexadecimal; there where an earlier transcript of it would do. */
  audioSha256: { by: "upload", always: false, schema: z.string() },
  /** Parts of a film that several containers share; what came of each stays when the call has to be made again. */
  parts: { by: "upload", always: false, schema: z.array(filmPartSchema) },
  parallel: { by: "upload", always: false, schema: parallelSchema },
  /** Function call ID; written down before the call is started. A transcript that was there already needs none. */
  callId: { by: "call", always: false, schema: z.string() },
  /** When the call was opened, epoch milliseconds. */
  callOpenedAt: { by: "call", always: false, schema: count },
  /** How long the function ran, by the server's clock, where it says so. */
  runSeconds: { by: "call", always: false, schema: count },
  /** The app that the call was started in; it must live as long as the call. */
  appId: { by: "call", always: false, schema: z.string() },
  /** Whether the call is of the function without a GPU, which copies films that fit already. */
  withoutGpu: { by: "call", always: false, schema: z.boolean() },
  /** `module:function` when the call is of the image's own function, whose result is a plain string. */
  imageFunction: { by: "call", always: false, schema: z.string() },
  /** Inputs of a call for parts, in their places, and up to where its outputs are taken in. */
  partInputs: { by: "call", always: false, schema: z.array(partInputSchema) },
  partCursor: { by: "call", always: false, schema: z.string() },
  result: { by: "call", always: true, schema: remoteResultSchema },
  /** Uploads of outputs to elsewhere; written down before their first byte is sent. */
  outputUploads: { by: "download", always: false, schema: z.array(outputUploadSchema) },
  /** Work of the language model on the text. */
  edit: { by: "download", always: false, schema: editSchema },
  outputs: { by: "download", always: true, schema: z.array(outputFileSchema) },
} as const satisfies Record<string, Fact>;

type Facts = typeof FACTS;
type FactName = keyof Facts;
type Named<S extends PathState, Always extends boolean> = {
  [N in FactName]: Facts[N] extends { by: S; always: Always } ? N : never;
}[FactName];
type Value<N extends FactName> = z.output<Facts[N]["schema"]>;
/** The facts that the steps of these states give. */
type Earned<S extends PathState> = { [N in Named<S, true>]: Value<N> } & {
  [N in Named<S, false>]?: Value<N> | undefined;
};
/** The states of the path before this one. */
type Before<S extends PathState, Path extends readonly PathState[] = typeof PATH> = Path extends readonly [
  infer First extends PathState,
  ...infer Rest extends readonly PathState[],
]
  ? First extends S
    ? never
    : First | Before<S, Rest>
  : never;

const entries = Object.entries(FACTS) as [FactName, Fact][];

/** The facts as they are stored; which of them are there depends on the state. */
export const factsSchema = z.object(
  Object.fromEntries(entries.map(([name, { schema }]) => [name, schema.optional()])) as {
    [N in FactName]: z.ZodOptional<Facts[N]["schema"]>;
  },
);
export type StoredFacts = z.output<typeof factsSchema>;

/** The facts that a job has in each working state: all of the states before, and perhaps some of its own. */
export type FactsAt = { [S in PathState]: Earned<Before<S>> & Partial<Earned<S>> } & { undo: StoredFacts };

type GainedBy = { [S in PathState]: Earned<S> } & { undo: StoredFacts };

/** The facts that a step must return. */
export type Gained<S extends WorkingState> = GainedBy[S];

/** The facts that are left when a job goes back to `state`: those of the states before it. */
export function factsFor(state: PathState, facts: StoredFacts): StoredFacts {
  const kept = entries.filter(([, fact]) => isEarnedBefore(state, fact));
  return Object.fromEntries(
    kept.flatMap(([name]) => (facts[name] === undefined ? [] : [[name, facts[name]]])),
  );
}

/** The first fact that a state needs and that is not there, or null. */
export function missingFact(state: WorkingState, facts: StoredFacts): string | null {
  if (state === "undo") return null;
  const missing = entries.find(
    ([name, fact]) => fact.always && isEarnedBefore(state, fact) && facts[name] === undefined,
  );
  return missing?.[0] ?? null;
}

function isEarnedBefore(state: PathState, { by }: Fact): boolean {
  return PATH.indexOf(by) < PATH.indexOf(state);
}
