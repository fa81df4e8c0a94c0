import type { ErrorRow } from "./error-kinds.ts";

/** Errors of a request, its files or its job ID. */
export const REQUEST_ERRORS = {
  REQUEST_INVALID: {
    kind: "input",
    meaning: "The job does not match the contract: a field is missing, unknown or of the wrong type.",
    advice: "Compare the request with `schema/*.json`; the message names the field.",
  },
  CONTRACT_VERSION_UNKNOWN: {
    kind: "input",
    meaning: "The job's `v` is not a version that this worker knows.",
    advice: "Send `v: 1`, or upgrade the worker.",
  },
  JOB_TYPE_UNKNOWN: {
    kind: "input",
    meaning: "The job's type is neither `transcribe` nor `convert`.",
    advice: "Put transcribe jobs in the transcribe queue and convert jobs in the convert queue.",
  },
  PATH_OUTSIDE_MEDIA_ROOT: {
    kind: "input",
    meaning: "A path leaves the media root: by `..`, as an absolute path, through a symlink or with a NUL.",
    advice: "Give a path relative to `HOST_MEDIA_PATH` that stays inside it.",
  },
  MODEL_NOT_ALLOWED: {
    kind: "input",
    meaning: "The job names a speech model that the operator does not allow.",
    advice: "Leave `model` out, or name one of `MIRUMOJI_WHISPER_MODELS`.",
  },
  LANGUAGE_MODEL_MISSING: {
    kind: "input",
    meaning: "The job asks for `fix` or `translate_to`, and the operator has no language model for it.",
    advice: "Leave them out, or set `MIRUMOJI_LLM_URL`.",
  },
  INPUT_NOT_FOUND: {
    kind: "input",
    meaning: "There is no file at the input path.",
    advice: "Check the path; it is relative to `HOST_MEDIA_PATH` of the worker.",
  },
  INPUT_NOT_A_FILE: {
    kind: "input",
    meaning: "The input is a directory or another thing that is not a regular file.",
    advice: "Name one media file.",
  },
  INPUT_EMPTY: {
    kind: "input",
    meaning: "The input file has no bytes.",
    advice: "Check how the file was written.",
  },
  INPUT_UNREADABLE: {
    kind: "input",
    meaning: "The worker may not read the input.",
    advice: "Give the worker's user read permission.",
  },
  INPUT_NOT_MEDIA: {
    kind: "input",
    meaning: "The input holds no stream that the job could use.",
    advice: "Transcribe needs an audio stream, convert a video stream; check the file with ffprobe.",
  },
  TRACK_NOT_FOUND: {
    kind: "input",
    meaning: "The input has no audio track of the number in `audio_track`.",
    advice: "Count the audio tracks from 1, or leave audio_track out.",
  },
  INPUT_CHANGED: {
    kind: "input",
    meaning: "The input changed while it was being uploaded.",
    advice: "Submit the job when the file is completely written.",
  },
  OUTPUT_EXISTS: {
    kind: "input",
    meaning: "A file that is not this job's own is at the output path already.",
    advice: "Name another output, move the file away, or send `overwrite: true`.",
  },
  OUTPUT_CLAIMED: {
    kind: "input",
    meaning: "Another job that is not over yet writes the same file.",
    advice: "Wait for the job that the message names, or name another output.",
  },
  OUTPUT_UNWRITABLE: {
    kind: "input",
    meaning: "The output cannot be written where the job wants it.",
    advice: "Check that the folder can be made and written by the worker's user.",
  },
  OUTPUT_WRITE_FAILED: {
    kind: "storage",
    meaning: "The output could not be written, although it could when the job began.",
    advice:
      "Check the folder, its permissions and its mount; the result is kept as long as the job may take.",
  },
  DISK_FULL: {
    kind: "storage",
    meaning: "The disk that holds the media root is full.",
    advice: "Free space; the result is kept as long as the job may take (`MIRUMOJI_JOB_DEADLINE`).",
  },
  STORAGE_UNAVAILABLE: {
    kind: "storage",
    meaning: "The disk or the network mount of the media root does not answer, or answers with errors.",
    advice: "Check the disk or the mount; the job waits for it as long as a job may take.",
  },
  URL_NOT_ALLOWED: {
    kind: "input",
    meaning: "A URL cannot be used, or leads to an address that is not public.",
    advice:
      "Use a public `https` address; the operator can allow private networks with `MIRUMOJI_PRIVATE_NETWORKS`.",
  },
  IDEMPOTENCY_CONFLICT: {
    kind: "input",
    meaning: "A job with this idempotency key exists, with another request.",
    advice: "Use a key of its own for every request.",
  },
  JOB_NOT_RETRYABLE: {
    kind: "input",
    meaning: "Only a failed or cancelled job can be retried.",
    advice: "See its status; submit a new job instead.",
  },
  JOB_NOT_FOUND: {
    kind: "input",
    meaning: "No job has this ID (it may have been removed when its retention ended).",
    advice: "Check the ID with `list`.",
  },
} as const satisfies Record<string, ErrorRow>;
