import { ApiError, apiUrl, authorization, callJson, problemOf } from "./api.js";

/** @typedef {import("./options.js").Wish} Wish */
/** @typedef {import("../../../job/summary.ts").JobView} JobView */

/** A request of this size gets through most proxies in time; what has arrived is never sent again. */
const CHUNK_BYTES = 32 * 2 ** 20;
const RETRY_AFTER_MS = [0, 1000, 3000, 5000, 10_000, 20_000, 30_000];
/** The rate is that of the last few seconds. */
const RATE_WINDOW_MS = 5000;

/**
 * @typedef {{ doneBytes: number, totalBytes: number, bytesPerSecond: number }} UploadProgress
 * @typedef {{
 *   onProgress: (progress: UploadProgress) => void,
 *   onResumed: () => void,
 *   onDone: (input: string) => void,
 *   onError: (error: Error) => void,
 * }} UploadListener
 */

/**
 * A resumable upload of a file. One that was broken off, by a reload too, goes on where it stopped when the same file is
 * chosen again.
 *
 * @param {File} file
 * @param {UploadListener} listener
 */
export function createUpload(file, listener) {
  /** @type {{ at: number, bytes: number }[]} */
  let samples = [];
  const upload = new window.tus.Upload(file, {
    endpoint: apiUrl("uploads"),
    chunkSize: CHUNK_BYTES,
    retryDelays: RETRY_AFTER_MS,
    removeFingerprintOnSuccess: true,
    metadata: { filename: file.name },
    // Asked anew for each request: the key may be another one by then.
    onBeforeRequest: (request) => request.setHeader("authorization", authorization()["authorization"] ?? ""),
    onShouldRetry: (error) => {
      const status = "originalResponse" in error ? (error.originalResponse?.getStatus() ?? 0) : 0;
      return status === 0 || status >= 500 || [408, 409, 423, 429].includes(status);
    },
    onProgress: (doneBytes, totalBytes) => {
      const at = performance.now();
      samples = [...samples.filter((sample) => at - sample.at < RATE_WINDOW_MS), { at, bytes: doneBytes }];
      const [first = { at, bytes: doneBytes }] = samples;
      const seconds = (at - first.at) / 1000;
      listener.onProgress({
        doneBytes,
        totalBytes,
        bytesPerSecond: seconds > 0.5 ? Math.max(0, doneBytes - first.bytes) / seconds : 0,
      });
    },
    onSuccess: () => {
      const id = new URL(upload.url ?? "", apiUrl("")).pathname.split("/").at(-1) ?? "";
      listener.onDone(`uploads/${decodeURIComponent(id)}`);
    },
    onError: (error) => listener.onError(translated(error)),
  });
  return {
    async start() {
      samples = [];
      if (upload.url === null) {
        const [known] = await upload.findPreviousUploads();
        if (known !== undefined) {
          upload.resumeFromPreviousUpload(known);
          listener.onResumed();
        }
      }
      upload.start();
    },
    /** Stops sending; what has arrived stays, and `start` goes on from there. */
    pause: async () => await upload.abort(),
    /** Gives it up: the server forgets what has arrived. */
    cancel: async () => await upload.abort(true),
  };
}

/** @param {Error} error */
function translated(error) {
  const answer =
    "originalResponse" in error
      ? /** @type {import("tus-js-client").DetailedError} */ (error).originalResponse
      : null;
  if (answer === null) {
    return new ApiError("The upload broke off. What has arrived is kept; go on when the network is back.", {
      status: 0,
      code: "OFFLINE",
    });
  }
  const status = answer.getStatus();
  if (status === 413) {
    return new ApiError("This file is larger than the server takes. Ask the operator to raise the limit.", {
      status,
      code: "BODY_TOO_LARGE",
    });
  }
  return problemOf(answer.getBody(), status);
}

/**
 * Puts a job into its queue.
 *
 * @param {Wish} wish
 * @param {string} input
 * @param {string} idempotencyKey The same for each try, so that a lost answer makes no second job.
 * @returns {Promise<JobView>}
 */
export async function submit({ type, request }, input, idempotencyKey) {
  return await callJson("jobs", {
    method: "POST",
    body: { type, request: { ...request, input } },
    headers: { "idempotency-key": idempotencyKey },
  });
}
