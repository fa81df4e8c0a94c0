/** Speaks to the HTTP API with the key of this tab. */

/** @typedef {import("../../../job/summary.ts").JobView} JobView */
/** @typedef {{ name: string, scopes: string[], tenant: string | null }} KeyInfo */

/** Kept as long as the tab is open, for this tab alone. */
const KEY = "mirumoji-api-key";
/** Folder of this page; whatever prefix a proxy has is in it. */
const PAGE = new URL(".", import.meta.url);
const API = new URL("../v1/", PAGE);

/** An error of the API, with its code and what to do. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{ status: number, code: string }} problem `status` is 0 when no answer came.
   */
  constructor(message, { status, code }) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @type {Set<() => void>} */
const signedOut = new Set();

/** @param {() => void} action Called when the key is refused. */
export function onSignedOut(action) {
  signedOut.add(action);
}

export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

/** @returns {Record<string, string>} */
export function authorization() {
  return { authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
}

/** @param {string} path Below `/v1/`. */
export function apiUrl(path) {
  return new URL(path, API).href;
}

/** @param {string} path Below the page's folder; opened with the cookie of the session. */
export function pageUrl(path) {
  return new URL(path, PAGE).href;
}

/**
 * Takes a key: asks for the cookie with which players and downloads, which can send no header, read outputs.
 *
 * @param {string} key
 * @returns {Promise<KeyInfo>}
 */
export async function signIn(key) {
  const answer = await ask(pageUrl("media/session"), {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
  });
  sessionStorage.setItem(KEY, key);
  return await answer.json();
}

/** Signs in again with the key of this tab. */
export async function renewSession() {
  return await signIn(sessionStorage.getItem(KEY) ?? "");
}

export async function signOut() {
  forgetKey();
  await fetch(pageUrl("media/session"), { method: "DELETE" }).catch(() => null);
}

/**
 * Asks the API.
 *
 * @param {string} path
 * @param {{ method?: string, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal }} [options]
 */
export async function call(path, { method = "GET", body, headers = {}, signal } = {}) {
  try {
    return await ask(apiUrl(path), {
      method,
      headers: {
        ...authorization(),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) for (const action of signedOut) action();
    throw error;
  }
}

/**
 * @param {string} path
 * @param {Parameters<typeof call>[1]} [options]
 */
export async function callJson(path, options) {
  return await (await call(path, options)).json();
}

/**
 * @param {string} url
 * @param {RequestInit} options
 */
async function ask(url, options) {
  let answer;
  try {
    answer = await fetch(url, { ...options, cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Check your connection; this page goes on by itself.", {
      status: 0,
      code: "OFFLINE",
    });
  }
  if (answer.ok) return answer;
  throw problemOf(await answer.text(), answer.status);
}

/**
 * The error in an answer's body.
 *
 * @param {string} text
 * @param {number} status
 */
export function problemOf(text, status) {
  try {
    const { detail, code } = JSON.parse(text);
    if (typeof code === "string") return new ApiError(String(detail), { status, code });
  } catch {
    // Proxies answer with pages of their own.
  }
  return new ApiError(`The server answered with status ${status}.`, { status, code: `HTTP_${status}` });
}

/** @type {Promise<Record<string, { meaning: string, advice: string }>> | undefined} */
let known;

/**
 * Meaning of an error code and what to do.
 *
 * @param {string} code
 */
export async function explain(code) {
  known ??= ask(pageUrl("errors.json"), {}).then(async (answer) => await answer.json());
  try {
    return (await known)[code] ?? null;
  } catch {
    known = undefined;
    return null;
  }
}
