import type { ErrorRow } from "./error-kinds.ts";

/** Errors of jobs and programs on our side. */
export const WORKER_ERRORS = {
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
  BUDGET_EXCEEDED: {
    kind: "remote",
    meaning: "The estimated cost of the job's call is over a spending limit; nothing was started.",
    advice:
      "Raise the limit that the message names (`MIRUMOJI_BUDGET_*`, `tenants set`), or wait; then `retry` it.",
  },
  BUDGET_SPENT: {
    kind: "budget",
    meaning: "A spending limit of the day or the month leaves no room for the job's call; the job waits.",
    advice: "Nothing, or raise the limit: the job looks again within ten minutes, as long as it may take.",
  },
  CRASH_BUDGET_SPENT: {
    kind: "defect",
    meaning: "Workers died or stalled on this job too often.",
    advice: "Look for out-of-memory kills on the workers; then `retry` the job.",
  },
  WORKER_DIED: {
    kind: "transient",
    meaning:
      "A worker died or stalled while it checked the job's files, before anything was made for the job.",
    advice:
      "It is tried again, apart from other jobs. Fails it in the end: the input may be what kills workers; look for out-of-memory kills.",
  },
  NEEDS_NEWER_WORKER: {
    kind: "transient",
    meaning: "The job was written for a newer version than this worker's, or was begun by one.",
    advice: "Nothing during a rollout: a newer worker takes it. Otherwise upgrade the workers.",
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
  PREFIX_IN_USE: {
    kind: "transient",
    meaning:
      "The queues belong to another Modal server, workspace or environment, where their volumes and calls are.",
    advice:
      "Give each server a `MIRUMOJI_QUEUE_PREFIX` of its own. To move a prefix, stop all workers and let the last volumes be removed; when the old server is gone for good, delete `<prefix>:platform` in Redis.",
  },
  GPU_HOST_FOLDER_IN_USE: {
    kind: "defect",
    meaning: "Another GPU host uses the data folder, and two would ruin each other's volumes.",
    advice: "The message names the process: stop it, or set another `MIRUMOJI_GPU_HOST_DATA`.",
  },
  PROGRAM_MISSING: {
    kind: "defect",
    meaning: "A program that is needed on this machine is not installed.",
    advice: "Install it; the message names the package.",
  },
  AUDIO_EXTRACTION_FAILED: {
    kind: "transient",
    meaning: "ffmpeg on the worker could not take the audio track out of the input.",
    advice:
      "Read ffmpeg's words in the message; with `MIRUMOJI_UPLOAD_AUDIO_ONLY=auto` or `never` the file itself is sent.",
  },
  UNEXPECTED: {
    kind: "transient",
    meaning: "An error that nobody foresaw.",
    advice: "Read the log; it is tried again, within the attempts of its state.",
  },
} as const satisfies Record<string, ErrorRow>;
