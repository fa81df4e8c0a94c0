import type { FileHandle } from "node:fs/promises";
import type { Levels } from "../job/film-parts.ts";
import type { InputIdentity, OutputFile, OutputUpload, TrackReport } from "../job/facts.ts";
import type { InputWish } from "../job/input-wish.ts";
import type { PlannedOutput } from "../job/paths.ts";

/** An output and what writes its bytes into an open file, which may hold what an interrupted try left of it. */
export interface OutputToWrite {
  readonly output: PlannedOutput;
  readonly fill: (handle: FileHandle) => Promise<void>;
  /** Digest that the bytes must have, hexadecimal; `TRANSFER_CORRUPT` otherwise. */
  readonly sha256?: string | undefined;
}

/** The audio track of an input, 16 kHz mono FLAC, as it comes out of it. */
export interface AudioTrack {
  /** Size of the input. */
  readonly inputBytes: number;
  /** The bytes, once, as they are made; throws `INPUT_CHANGED` when the input is not what it was in the beginning. */
  readonly content: AsyncIterable<Uint8Array>;
  /** How many there will be, as far as can be told by now. */
  expectedBytes(): number;
  /** How long what has come by now plays. */
  seconds(): number;
  /** How loud it is, where that was asked for; to be asked when all has come. */
  levels(): Levels | null;
  /** Warnings when the input promises more than came; to be asked when all has come. */
  damage(): Promise<string[]>;
  /** Ends the work on it, done or not. */
  close(): Promise<void>;
}

/** An input that is not in the media root. */
export interface RemoteContent {
  readonly identity: InputIdentity;
  /** All of it, from the beginning; throws `INPUT_CHANGED`, `INPUT_URL_UNREACHABLE`. */
  read(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Place of an input: on this machine, or nowhere but elsewhere. */
type InputPlace =
  | { readonly localPath: string; readonly elsewhere?: RemoteContent }
  | { readonly localPath: null; readonly elsewhere: RemoteContent };

/** An input that is held open until it is disposed of: other programs can read it meanwhile. */
export type InputFile = InputPlace & InputContent;

interface InputContent extends AsyncDisposable {
  /** How long it plays, where the file says so. */
  readonly seconds: number | null;
  /** The sound that was chosen, and warnings when it is a guess; null where nobody looked. */
  readonly track: TrackReport | null;
  readonly warnings: readonly string[];
  /**
   * Starts to take the audio track out; null when sending the file itself is as good, which is not looked at when it
   * is forced. `withLevels`: its loudness is measured. Throws `PROGRAM_MISSING`, `AUDIO_EXTRACTION_FAILED`; so does its content.
   */
  openAudio(options: {
    isForced: boolean;
    withLevels?: boolean;
    signal: AbortSignal;
  }): Promise<AudioTrack | null>;
}

/** Rules for places where something is already. */
export interface OutputRules {
  /** The job's input, which no output may replace, by whatever name. */
  readonly input: string;
  /** Whether files that are there are replaced. */
  readonly overwrite: boolean;
}

/** Books on uploads to elsewhere, by which the next try finds what the one before has begun. */
export interface UploadBooks {
  readonly begun: readonly OutputUpload[];
  /** Writes one down durably. */
  note(upload: OutputUpload): Promise<void>;
}

/** The input and output files of a job, inside the media root or elsewhere. */
export interface MediaFiles {
  /**
   * Checks that the input can be used; gives its place, and what shows of it. `isCheck`: nobody is going to read it
   * now, so what takes reading all of an input that is elsewhere is left out.
   */
  openInput(options: InputWish & { isCheck?: boolean; signal: AbortSignal }): Promise<InputFile>;
  /**
   * Checks that every output could be written now. Leaves nothing behind. Gives the real place of each below the media
   * root, by which jobs can tell that they mean the same file. Throws `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`.
   */
  checkOutputs(
    options: OutputRules & { jobId: string; outputs: readonly PlannedOutput[]; signal: AbortSignal },
  ): Promise<string[]>;
  /**
   * Writes outputs, all or none: each into a temporary file beside it, checked and flushed; when all are
   * there they get their names. Nothing is published once the signal has aborted.
   */
  writeOutputs(
    options: OutputRules & {
      jobId: string;
      outputs: readonly OutputToWrite[];
      uploads?: UploadBooks;
      signal: AbortSignal;
    },
  ): Promise<OutputFile[]>;
  /**
   * Removes the temporary files: what a crash or a failure left of outputs that were never finished, and the second
   * names of finished ones, which tell the job's own outputs from other files until they are written down.
   */
  removePartialOutputs(options: {
    jobId: string;
    outputs: readonly PlannedOutput[];
    uploads?: readonly OutputUpload[] | undefined;
    signal: AbortSignal;
  }): Promise<void>;
}
