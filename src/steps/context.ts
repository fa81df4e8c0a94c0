import type { JobRequest } from "../job/contract.ts";
import type { FactsAt, Gained, StoredFacts } from "../job/facts.ts";
import type { WorkingState } from "../job/machine.ts";
import type { StepProgress } from "../job/summary.ts";
import type { Apps } from "../ports/apps.ts";
import type { Calls } from "../ports/calls.ts";
import type { FunctionDirectory } from "../ports/functions.ts";
import type { MediaFiles } from "../ports/media.ts";
import type { PartCalls } from "../ports/part-calls.ts";
import type { TextEditor } from "../ports/text-editor.ts";
import type { KeptTranscripts } from "../ports/transcripts.ts";
import type { Volumes } from "../ports/volumes.ts";
import type { SpeechEngine } from "../job/speech-engines.ts";
import type { SpeechModels } from "./speech-models.ts";

/** The adapters that steps act through. */
export interface StepTools {
  readonly volumes: Volumes;
  readonly calls: Calls;
  readonly partCalls: PartCalls;
  readonly media: MediaFiles;
  /** Null where the operator has no language model. */
  readonly editor: TextEditor | null;
  /** Where the segments of finished transcripts are kept. */
  readonly transcripts: KeptTranscripts;
  /** The registered app; awaited where it is needed, because registering takes a while. */
  readonly runtime: (signal: AbortSignal) => Promise<FunctionDirectory>;
  readonly apps: Apps;
  /** Whether transcribe jobs send the audio track alone; `auto`: when that is less. */
  readonly uploadAudioOnly: "auto" | "never" | "always";
  /** Containers of a film whose request says nothing of it, and how long one takes to start. */
  readonly parallel: { readonly containers: number; readonly startSeconds: number };
  /** Age in seconds of transcripts that are taken again where a request does not say; 0 for none. */
  readonly cacheSeconds: number;
  /** Mark of all that decides on a transcript and is no option: version and image. */
  readonly cacheMark: string;
  /** The speech models that jobs may use. */
  readonly models: SpeechModels;
  /** Finds what a call would find beside the GPU; null where nobody can tell without a call. */
  readonly engines: (model: string | null, signal: AbortSignal) => Promise<readonly SpeechEngine[] | null>;
  /** How long a call may take from opening to result, queueing and cold start included. */
  readonly callDeadlineMs: number;
  readonly now: () => number;
}

/** Size of a call that is not about all of the input in one container, with a GPU. */
export interface CallSize {
  readonly containers?: number;
  readonly mediaSeconds?: number;
  /** Such a call is booked without a price. */
  readonly withoutGpu?: boolean;
}

/** One job as a step sees it. */
export interface StepJob<S extends WorkingState> {
  readonly id: string;
  readonly request: JobRequest;
  readonly facts: FactsAt[S];
  /** When the job entered this state, epoch milliseconds. */
  readonly enteredAt: number;
  /** Aborts when the job is cancelled, the lease is lost, the worker stops or the attempt's time is up. */
  readonly signal: AbortSignal;
  /** Reports the step's progress; may be called often. */
  readonly report: (progress: StepProgress) => void;
  /** Logs that the step takes a fallback. */
  readonly warn: (message: string) => void;
  /** Stores facts durably before the step continues. */
  readonly save: (facts: StoredFacts) => Promise<void>;
  /**
   * Holds the estimated cost of the job's call against the spending limits; to be called before a call is opened.
   *
   * @throws MirumojiError `BUDGET_EXCEEDED`, `BUDGET_SPENT`
   */
  readonly reserve: (about?: CallSize) => Promise<void>;
  /** Paid seconds for each second of media, as calls have shown; null before the first. */
  readonly speed: () => Promise<number | null>;
}

/** `pending` means that the step is neither finished nor failed and is to be run again. */
export type StepResult<S extends WorkingState> = Gained<S> | "pending";

/** A step returns what it earned and throws `MirumojiError`s. Running it again must be safe. */
export type Step<S extends WorkingState> = (step: StepJob<S>, tools: StepTools) => Promise<StepResult<S>>;
