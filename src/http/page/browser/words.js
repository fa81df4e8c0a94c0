/** Says things as people do. Nothing here touches the page. */

/** @typedef {import("../../../job/summary.ts").JobView} JobView */

/** Prefix that an upload gets, so that two files may have one name. */
const UPLOAD_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-/u;
const UPLOAD = /uploads\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-/gu;

/** @type {Record<string, string>} */
const STATUS = {
  queued: "Waiting",
  running: "Running",
  completed: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

/** @param {string} status */
export function statusWord(status) {
  return STATUS[status] ?? status;
}

/** @param {string} status */
export function isOver(status) {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/**
 * Name of a file as people gave it.
 *
 * @param {string} path
 */
export function fileName(path) {
  const isUrl = /^https?:\/\//u.test(path);
  const [plain = ""] = isUrl ? path.split(/[?#]/u, 1) : [path];
  const last = plain.split("/").findLast((part) => part !== "") ?? path;
  return (isUrl ? decoded(last) : last).replace(UPLOAD_ID, "");
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * A message with files named as people gave them.
 *
 * @param {string} message
 */
export function plainMessage(message) {
  return message.replaceAll(UPLOAD, "");
}

/** @param {JobView} job */
export function jobName(job) {
  return job.input === null ? job.id : fileName(job.input);
}

/** Share of the whole that lies before each state, and its own share, in percent. */
/** @type {Record<string, [before: number, own: number]>} */
const SHARES = {
  createVolume: [0, 3],
  upload: [3, 27],
  call: [30, 55],
  download: [85, 12],
  deleteVolume: [97, 3],
};

/**
 * How far a job is, in percent.
 *
 * @param {JobView} job
 */
export function percentOf({ status, state, step }) {
  if (status === "completed") return 100;
  const [before, own] = SHARES[state] ?? [0, 0];
  return Math.round(before + own * fractionOf(step));
}

/** @param {JobView["step"]} step */
function fractionOf(step) {
  if (step?.fraction !== undefined) return step.fraction;
  if (step?.doneBytes === undefined || !step.totalBytes) return 0;
  return Math.min(1, step.doneBytes / step.totalBytes);
}

/**
 * The work of the moment, with its numbers.
 *
 * @param {JobView} job
 */
export function stageOf({ status, state, step, type }) {
  if (status === "queued") return "Waiting for a free worker";
  if (isOver(status)) return statusWord(status);
  const work = type === "convert" ? "Converting" : "Transcribing";
  const parts = [
    {
      createVolume: "Getting ready",
      upload: "Sending to the GPU",
      call:
        { download: "Loading on the GPU", prepare: "Preparing the sound", upload: "Saving" }[
          step?.stage ?? ""
        ] ?? work,
      download: "Fetching the result",
      deleteVolume: "Tidying up",
    }[state] ?? "Waiting to go on",
  ];
  if (step?.doneBytes !== undefined && step.totalBytes)
    parts.push(`${bytes(step.doneBytes)} of ${bytes(step.totalBytes)}`);
  if (step?.bytesPerSecond) parts.push(`${bytes(step.bytesPerSecond)}/s`);
  if (step?.etaSeconds !== undefined && step.etaSeconds >= 1)
    parts.push(`about ${duration(step.etaSeconds)} left`);
  return parts.join(" · ");
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** @param {number} count */
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit] ?? ""}`;
}

/**
 * A length of time in words: `45 s`, `3 min 20 s`, `2 h 5 min`.
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return seconds < 10 && seconds % 1 >= 0.05 ? `${seconds.toFixed(1)} s` : `${whole} s`;
  if (whole < 3600) return joined(Math.floor(whole / 60), "min", whole % 60, "s");
  return joined(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
}

/**
 * @param {number} large
 * @param {string} largeUnit
 * @param {number} small
 * @param {string} smallUnit
 */
function joined(large, largeUnit, small, smallUnit) {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/**
 * A place in a film: `0:07`, `1:02:03`.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const [hours = 0, minutes = 0, rest = 0] = parts;
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * @param {number} at
 * @param {number} now
 */
export function ago(at, now) {
  const seconds = Math.max(0, (now - at) / 1000);
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

/** @param {number | null} usd */
export function money(usd) {
  if (usd === null) return "no price known";
  if (usd === 0) return "$0";
  return usd < 0.01 ? "under $0.01" : `$${usd.toFixed(2)}`;
}
