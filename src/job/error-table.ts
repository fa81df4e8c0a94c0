/**
 * What a failure means for the job:
 * - `input`: the request or the media is wrong; fail at once, another try cannot help.
 * - `remote`: the function ran and failed for good (raised, timed out, ran out of memory).
 * - `transient`: the platform is unwell; try again with backoff, bounded by the table.
 * - `quota`: we are going too fast; slow the queue down, no attempt spent.
 * - `lost`: a remote resource vanished; go back to the state that can make it again.
 * - `cancelled`: somebody asked for the job to stop.
 * - `interrupted`: this worker stops or lost its lease; the job goes on elsewhere.
 * - `defect`: something that cannot happen did; fail at once and tell the operator.
 */
export type ErrorKind =
  | "input"
  | "remote"
  | "transient"
  | "quota"
  | "lost"
  | "cancelled"
  | "interrupted"
  | "defect";

interface ErrorRow {
  readonly kind: ErrorKind;
  /** One sentence for `docs/errors.md`: what happened. */
  readonly meaning: string;
  /** One sentence for `docs/errors.md`: what the reader should do. */
  readonly advice: string;
}

/**
 * Every failure in the system is one of these codes. The code is what is stored, logged, counted and
 * shown; the kind decides what the machine does about it (see `machine.ts`). `docs/errors.md` is
 * generated from this closed list.
 */
export const ERRORS = {
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
  INPUT_CHANGED: {
    kind: "input",
    meaning: "The input changed while it was being uploaded.",
    advice: "Submit the job when the file is completely written.",
  },
  OUTPUT_UNWRITABLE: {
    kind: "input",
    meaning: "The output cannot be written where the job wants it.",
    advice: "Check that the folder can be made and written by the worker's user.",
  },
  OUTPUT_WRITE_FAILED: {
    kind: "transient",
    meaning: "The output could not be written, although it could when the job began.",
    advice: "Check the folder's permissions and its mount; the result is kept until the tries are spent.",
  },
  DISK_FULL: {
    kind: "transient",
    meaning: "The disk that holds the media root is full.",
    advice: "Free space; the result is kept until the retries are spent.",
  },
  LANGUAGE_UNSUPPORTED: {
    kind: "input",
    meaning: "The speech engine beside the GPU does not know the wanted language.",
    advice: "Install faster-whisper or whisper.cpp, or ask for a language the engine knows.",
  },
  OPTION_UNSUPPORTED: {
    kind: "input",
    meaning: "The speech engine or encoder cannot do what an option asks for.",
    advice: "Leave the option out, or install an engine that has it.",
  },
  ENGINE_MISSING: {
    kind: "remote",
    meaning: "No speech engine, or no ffmpeg, was found beside the GPU.",
    advice: "Use an image with faster-whisper, whisper.cpp or PocketSphinx, and ffmpeg; see `doctor`.",
  },
  ENGINE_FAILED: {
    kind: "remote",
    meaning: "The speech engine or the encoder failed on this input.",
    advice: "Read the message and the job's log; try the same file on the engine by hand.",
  },
  FUNCTION_FAILED: {
    kind: "remote",
    meaning: "The remote function raised an exception.",
    advice: "The message has the exception, the job's log the traceback.",
  },
  FUNCTION_TIMED_OUT: {
    kind: "remote",
    meaning: "The remote function ran longer than its timeout.",
    advice: "Raise `MIRUMOJI_MODAL_TIMEOUT`, or split the input.",
  },
  FUNCTION_OUT_OF_MEMORY: {
    kind: "remote",
    meaning: "The container ran out of memory.",
    advice: "Choose a GPU or container with more memory.",
  },
  FUNCTION_START_FAILED: {
    kind: "remote",
    meaning: "The container could not start or could not import the handler.",
    advice: "Check the image and the handler; the message has what the server said.",
  },
  FUNCTION_RESULT_INVALID: {
    kind: "remote",
    meaning: "The remote function returned something that the contract does not allow.",
    advice: "Check that the image's handler belongs to this worker's version.",
  },
  FUNCTION_TERMINATED: {
    kind: "remote",
    meaning: "The call was cancelled on the server, not by this product.",
    advice: "See who stopped the app or the call; retry the job.",
  },
  CALL_WAIT_TIMED_OUT: {
    kind: "remote",
    meaning: "The call was not finished within the limit for queueing, cold start and running together.",
    advice: "Check the platform's GPU capacity, or raise the limit.",
  },
  PLATFORM_FAILED: {
    kind: "lost",
    meaning: "Modal lost the container (preemption, eviction or an internal failure).",
    advice: "Nothing; the job calls again, within its budget.",
  },
  MODAL_UNAVAILABLE: {
    kind: "transient",
    meaning: "The Modal server (or GPU host) cannot be reached or answers with a server error.",
    advice: "Check the network and `MODAL_SERVER_URL`; it is tried again.",
  },
  MODAL_THROTTLED: {
    kind: "quota",
    meaning: "Modal asks us to slow down.",
    advice: "Nothing; the queue pauses for a moment. Lower the concurrency when it happens often.",
  },
  MODAL_UNAUTHENTICATED: {
    kind: "defect",
    meaning: "Modal refuses the token.",
    advice: "Check `MODAL_TOKEN_ID` and `MODAL_TOKEN_SECRET`.",
  },
  MODAL_REFUSED: {
    kind: "defect",
    meaning: "Modal refuses a request for good.",
    advice: "The message has the RPC and the server's words; check the configuration it names.",
  },
  IMAGE_BUILD_FAILED: {
    kind: "defect",
    meaning: "The container image cannot be built or found.",
    advice: "Check `MIRUMOJI_MODAL_IMAGE`; the message ends with the build's last lines.",
  },
  APP_LOST: {
    kind: "transient",
    meaning: "The Modal app that the functions belong to is stopped or gone.",
    advice: "Nothing; a new app is registered and the job calls again. When it lasts, see who stops it.",
  },
  VOLUME_LOST: {
    kind: "lost",
    meaning: "The job's volume is gone.",
    advice: "Nothing; the job starts again from a new volume, within its budget.",
  },
  CALL_LOST: {
    kind: "lost",
    meaning: "The server no longer knows the call or its result.",
    advice: "Nothing; the job calls again, within its budget.",
  },
  TRANSFER_FAILED: {
    kind: "transient",
    meaning: "A block could not be sent or fetched.",
    advice: "Nothing; it is tried again. Check the network when it lasts.",
  },
  TRANSFER_CORRUPT: {
    kind: "transient",
    meaning: "Bytes arrived that are not the ones that were sent.",
    advice: "Nothing; it is tried again. Check memory and network when it lasts.",
  },
  STEP_TIMED_OUT: {
    kind: "transient",
    meaning: "One try of a step took longer than its deadline.",
    advice: "Check the network and the disk; it is tried again.",
  },
  QUEUE_WAIT_EXPIRED: {
    kind: "remote",
    meaning: "The job waited longer in the queue than it may, before any worker took it.",
    advice: "Start more workers, or raise `MIRUMOJI_QUEUE_WAIT`; then `retry` it.",
  },
  JOB_DEADLINE_EXCEEDED: {
    kind: "remote",
    meaning: "The job took longer than a job may, retries and waiting included.",
    advice: "See which state took the time with `status`; raise `MIRUMOJI_JOB_DEADLINE` if it is right.",
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
  CRASH_BUDGET_SPENT: {
    kind: "defect",
    meaning: "Workers died or stalled on this job too often.",
    advice: "Look for out-of-memory kills on the workers; then `retry` the job.",
  },
  CHECKPOINT_CORRUPT: {
    kind: "defect",
    meaning: "The stored checkpoint of the job cannot be read.",
    advice: "Report it; retry the job to start from the beginning.",
  },
  CANCELLED: {
    kind: "cancelled",
    meaning: "The job was cancelled on request.",
    advice: "Nothing.",
  },
  INTERRUPTED: {
    kind: "interrupted",
    meaning: "The worker is stopping; the job goes back to the queue.",
    advice: "Nothing; another worker goes on with it.",
  },
  LEASE_LOST: {
    kind: "interrupted",
    meaning: "Another worker owns the job now.",
    advice: "Nothing; the new owner goes on with it.",
  },
  CONFIG_INVALID: {
    kind: "defect",
    meaning: "An environment variable has a value that cannot be used.",
    advice: "The message names each variable, what it got and what it wants.",
  },
  PROGRAM_MISSING: {
    kind: "defect",
    meaning: "A program that is needed on this machine is not installed.",
    advice: "Install it; the message names the package.",
  },
  REDIS_UNAVAILABLE: {
    kind: "transient",
    meaning: "Redis cannot be reached.",
    advice: "Check `REDIS_URL` and that Redis runs.",
  },
  VOLUME_NOT_FOUND: {
    kind: "input",
    meaning: "No volume has this name or ID in the environment.",
    advice:
      "Check the name, `MODAL_ENVIRONMENT` and the token's workspace; ephemeral volumes only have an ID.",
  },
  VOLUME_PATH_NOT_FOUND: {
    kind: "input",
    meaning: "The volume has nothing at this path.",
    advice: "Look with `volume ls <volume>`.",
  },
  VOLUME_PATH_INVALID: {
    kind: "input",
    meaning:
      "A path of a volume cannot be used: it leaves the volume or the target folder, or is a folder where a file is meant.",
    advice: "The message names the path and what is wrong with it.",
  },
  FILE_EXISTS: {
    kind: "input",
    meaning: "There is something of this name at the target already.",
    advice: "Choose another name, or overwrite it with `--force`.",
  },
  JOB_NOT_FOUND: {
    kind: "input",
    meaning: "No job has this ID (it may have been removed when its retention ended).",
    advice: "Check the ID with `list`.",
  },
  UNEXPECTED: {
    kind: "transient",
    meaning: "An error that nobody foresaw.",
    advice: "Read the log; it is tried again, within the attempts of its state.",
  },
} as const satisfies Record<string, ErrorRow>;
