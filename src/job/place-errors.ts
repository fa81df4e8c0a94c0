import type { ErrorRow } from "./error-kinds.ts";

/** Errors of inputs and outputs that are not in the media root. */
export const PLACE_ERRORS = {
  INPUT_URL_NOT_FOUND: {
    kind: "input",
    meaning: "The server of the input's URL says that nothing is there (404, 410).",
    advice: "Open the URL yourself; a link for a limited time may be over.",
  },
  INPUT_URL_DENIED: {
    kind: "input",
    meaning: "The server of the input's URL refuses the request (401, 403 or another 4xx).",
    advice: "Sign the URL anew, for longer than the job may wait; log-ins and cookies are not sent.",
  },
  INPUT_URL_NOT_MEDIA: {
    kind: "input",
    meaning: "The server of the input's URL sends a page, a picture or a playlist, not a media file.",
    advice: "Give the URL of the file itself, not of the page that shows it.",
  },
  INPUT_URL_REDIRECTS: {
    kind: "input",
    meaning: "The input's URL leads on too often, or to nowhere.",
    advice: "Give the URL that it leads to.",
  },
  INPUT_URL_UNREACHABLE: {
    kind: "transient",
    meaning: "The server of the input's URL cannot be reached, is too slow, or is unwell (5xx, 429).",
    advice:
      "Nothing at first: it is tried again, and goes on where it was cut off. Then check the URL's server.",
  },
  INPUT_TOO_LARGE: {
    kind: "input",
    meaning: "The input by URL or from a store is larger than `MIRUMOJI_MAX_INPUT` allows.",
    advice: "Send a smaller file, or only its sound; the operator can raise the limit.",
  },
  CONNECTION_UNKNOWN: {
    kind: "input",
    meaning:
      "The request names a connection that the operator has not set up, or a bucket that it is not for.",
    advice: "Name a connection of `MIRUMOJI_S3_CONNECTIONS`.",
  },
  STORE_UNAVAILABLE: {
    kind: "storage",
    meaning: "A store (S3) cannot be reached, is unwell or asks to slow down.",
    advice: "Check the connection's endpoint; the job waits for it as long as a job may take.",
  },
  STORE_REFUSED: {
    kind: "storage",
    meaning: "A store (S3) refuses the keys of the connection.",
    advice: "Correct `MIRUMOJI_S3_CONNECTIONS`; the job waits for it as long as a job may take.",
  },
  OUTPUT_URL_DENIED: {
    kind: "input",
    meaning: "The server of the output's URL refuses the file (4xx).",
    advice: "Sign the URL for PUT, without a content type, and for as long as the job may take.",
  },
} as const satisfies Record<string, ErrorRow>;
