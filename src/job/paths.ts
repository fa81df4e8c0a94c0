import type { ConvertRequest, JobRequest, SubtitleFormat, TranscribeRequest } from "./contract.ts";
import { MirumojiError } from "./errors.ts";
import { fileNameOf, isElsewhere } from "./places.ts";

/** File name endings of the formats; `joined` is plain text beside `txt`. */
const EXTENSIONS: Record<SubtitleFormat, string> = {
  srt: ".srt",
  vtt: ".vtt",
  ass: ".ass",
  lrc: ".lrc",
  tsv: ".tsv",
  json: ".json",
  txt: ".txt",
  joined: ".joined.txt",
};

/**
 * Refuses paths that can be seen to leave the media root without looking at the disk. Symlinks are the
 * business of `media/`, which has the disk.
 *
 * @throws MirumojiError `PATH_OUTSIDE_MEDIA_ROOT`
 */
export function checkMediaPath(path: string, field: string): void {
  const problem = pathProblem(path);
  if (problem === null) return;
  throw new MirumojiError(
    "PATH_OUTSIDE_MEDIA_ROOT",
    `${field} ${JSON.stringify(path.slice(0, 200))} ${problem}; give a path relative to the media root`,
  );
}

function pathProblem(path: string): string | null {
  if (path.includes("\0")) return "holds a NUL character";
  if (/\p{Surrogate}/u.test(path)) return "holds half of a character, which no file name can";
  if (/^[/\\]/.test(path) || /^[A-Za-z]:[/\\]/.test(path)) return "is an absolute path";
  // A backslash is a letter to POSIX; it counts as a separator here so that no reader can be fooled.
  if (path.split(/[/\\]/).includes("..")) return "leaves the media root by `..`";
  return null;
}

/**
 * Where the job's input lies in its volume: `<job ID>/<file name>`. Job IDs that other programs chose
 * are escaped, so that they are one path segment.
 */
export function remoteInputPath(jobId: string, input: string): string {
  return `${remoteFolder(jobId)}/${fileNameOf(input)}`;
}

/** Where the audio track lies that is sent in the place of an input. */
export function remoteAudioPath(jobId: string): string {
  return `${remoteFolder(jobId)}/audio.flac`;
}

function remoteFolder(jobId: string): string {
  const segment = encodeURIComponent(jobId);
  return /^\.+$/.test(segment) ? `_${segment}` : segment;
}

/** A file that a job will write, with the format it is in (`mp4` for convert). */
export interface PlannedOutput {
  /** Relative to the media root, or a place elsewhere. */
  readonly path: string;
  readonly format: SubtitleFormat | "mp4";
}

/**
 * The files that a job writes.
 *
 * @throws MirumojiError `REQUEST_INVALID` when an output would overwrite the input.
 */
export function planOutputs(job: JobRequest): readonly PlannedOutput[] {
  const outputs = job.type === "transcribe" ? subtitleOutputs(job.request) : [mp4Output(job.request)];
  const input = normalise(job.request.input);
  if (outputs.some((output) => normalise(output.path) === input)) {
    throw new MirumojiError("REQUEST_INVALID", "output: would overwrite the input; choose another path");
  }
  return outputs;
}

function subtitleOutputs(request: TranscribeRequest): PlannedOutput[] {
  const { output } = request;
  if (output !== undefined && isUrl(output)) return [urlOutput(output, request.formats)];
  const base = output === undefined ? withoutExtension(beside(request.input)) : withoutFormat(output);
  return request.formats.map((format) => ({ path: base + EXTENSIONS[format], format }));
}

function mp4Output(request: ConvertRequest): PlannedOutput {
  if (request.output !== undefined) return { path: request.output, format: "mp4" };
  const input = beside(request.input);
  const base = withoutExtension(input);
  const path = `${base}.mp4`;
  return {
    path: path === normalise(input) && path === normalise(request.input) ? `${base}.converted.mp4` : path,
    format: "mp4",
  };
}

/** A signed URL takes one file, and may say nothing of its format. */
function urlOutput(path: string, [format, ...others]: readonly SubtitleFormat[]): PlannedOutput {
  if (format !== undefined && others.length === 0) return { path, format };
  throw new MirumojiError("REQUEST_INVALID", "output: a URL takes one file; ask for one format");
}

function isUrl(path: string): boolean {
  return /^https?:/iu.test(path) && isElsewhere(path);
}

/** Where outputs go when the request names no place: to a URL nothing can be written, so into the media root. */
function beside(input: string): string {
  return isUrl(input) ? fileNameOf(input) : input;
}

function withoutFormat(path: string): string {
  // The longest ending first: `.joined.txt` before `.txt`.
  const endings = Object.values(EXTENSIONS).toSorted((a, b) => b.length - a.length);
  const ending = endings.find((candidate) => path.endsWith(candidate) && path.length > candidate.length);
  return ending === undefined ? path : path.slice(0, -ending.length);
}

function withoutExtension(path: string): string {
  return normalise(path).replace(/(?<=[^/])\.[^./]*$/, "");
}

function normalise(path: string): string {
  if (isElsewhere(path)) return path;
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}
