import type { ErrorRow } from "./error-kinds.ts";

/** Errors of the GPU functions, of Modal and on the way there. */
export const PLATFORM_ERRORS = {
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
  LANGUAGE_UNCERTAIN: {
    kind: "input",
    meaning: "`language: auto` found no language with the confidence that is asked for.",
    advice: "Name the language, or lower `language_confidence`.",
  },
  MODEL_MISSING: {
    kind: "remote",
    meaning: "The Whisper model is not beside the GPU and cannot be fetched.",
    advice:
      "Use an image that holds it, or let `MIRUMOJI_WHISPER_MODEL` name its folder; `doctor` beside the GPU says what is there.",
  },
  ENGINE_MISSING: {
    kind: "remote",
    meaning: "No speech engine, or no ffmpeg, was found beside the GPU.",
    advice: "Use an image with faster-whisper, whisper.cpp or PocketSphinx, and ffmpeg; see `doctor`.",
  },
  NEEDS_GPU: {
    kind: "remote",
    meaning: "The film does not fit as it is, and the function that was called cannot encode.",
    advice: "Nothing; the worker calls `convert` then.",
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
    advice: "It is not called again. Choose a GPU or container with more memory, or a smaller model.",
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
  CALL_STATUS_UNKNOWN: {
    kind: "lost",
    meaning: "The call ended with a status that this version does not know; the message has its number.",
    advice:
      "The job calls once more, and no oftener, since each call is paid. Update the worker; tell us the number when the newest does not know it.",
  },
  MODAL_UNAVAILABLE: {
    kind: "platform",
    meaning: "The Modal server (or GPU host), or its block store, cannot be reached.",
    advice:
      "Check the network and `MODAL_SERVER_URL`. The pool pauses and goes on by itself; no try is counted, and calls go on running.",
  },
  MODAL_FAILED: {
    kind: "transient",
    meaning: "The Modal server (or GPU host) answers with an error of its own.",
    advice: "Nothing; it is tried again. The message has the RPC and the server's words.",
  },
  MODAL_THROTTLED: {
    kind: "quota",
    meaning: "Modal asks us to slow down.",
    advice: "Nothing; the pool pauses for a moment. Lower the concurrency when it happens often.",
  },
  MODAL_UNAUTHENTICATED: {
    kind: "worker",
    meaning: "Modal refuses this worker's token.",
    advice:
      "Check `MODAL_TOKEN_ID` and `MODAL_TOKEN_SECRET`. The worker takes no jobs until the token is accepted; it reads `*_FILE` secrets again by itself.",
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
  RESULT_MISSING: {
    kind: "transient",
    meaning: "The volume has no file where the function said that its result is.",
    advice: "Nothing; it may only be late. When it stays away, the job fails with `FUNCTION_RESULT_INVALID`.",
  },
  TRANSFER_CORRUPT: {
    kind: "transient",
    meaning: "Bytes arrived that are not the ones that were sent.",
    advice: "Nothing; it is tried again. Check memory and network when it lasts.",
  },
  VOLUME_NOT_FOUND: {
    kind: "input",
    meaning: "No volume has this name or ID in the environment.",
    advice:
      "Check the name, `MODAL_ENVIRONMENT` and the token's workspace; ephemeral volumes only have an ID.",
  },
  VOLUME_VERSION_UNSUPPORTED: {
    kind: "input",
    meaning: "The volume has version 1, to which `volume put` sends nothing.",
    advice: "Use a version 2 volume, or the `modal` command of the Python SDK.",
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
} as const satisfies Record<string, ErrorRow>;
