import { MirumojiError } from "../../job/errors.ts";

/** Types of answers that hold no media, whatever the URL is called. */
const NOT_MEDIA =
  /^(?:text\/(?!plain)|image\/|font\/|multipart\/|application\/(?:json|xml|xhtml\+xml|pdf|zip|javascript)\b)/u;
const PLAYLIST = /mpegurl|dash\+xml|vnd\.ms-sstr/u;

/** Throws the error for an answer that is no content. */
export function refuseStatus(shown: string, status: number): void {
  if (status === 200 || status === 206) return;
  if (status === 404 || status === 410) {
    throw new MirumojiError("INPUT_URL_NOT_FOUND", `${shown}: the server answers ${status}; check the URL`);
  }
  if (status === 401 || status === 403) {
    throw new MirumojiError(
      "INPUT_URL_DENIED",
      `${shown}: the server answers ${status}; sign the URL anew, or make the file public`,
    );
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    throw unreachable(shown, `the server answers ${status}`);
  }
  throw new MirumojiError(
    "INPUT_URL_DENIED",
    `${shown}: the server answers ${status}, where 200 or 206 was expected; open the URL yourself`,
  );
}

/** Throws the error for content that cannot be media. */
export function refuseType(shown: string, type: string | undefined, encoding: string | undefined): void {
  const plain = (type ?? "").toLowerCase();
  if (PLAYLIST.test(plain)) {
    throw new MirumojiError(
      "INPUT_URL_NOT_MEDIA",
      `${shown} is a playlist (${plain}), which names other files; give the URL of one media file`,
    );
  }
  if (NOT_MEDIA.test(plain)) {
    throw new MirumojiError(
      "INPUT_URL_NOT_MEDIA",
      `${shown} answers with ${plain.slice(0, 100)}; give the URL of the media file itself`,
    );
  }
  if (encoding !== undefined && encoding !== "identity") {
    throw new MirumojiError(
      "INPUT_URL_NOT_MEDIA",
      `${shown} is sent with the encoding ${encoding.slice(0, 100)}, which nobody asked for; send it as it is`,
    );
  }
}

/** The error for a server that is not there, or not well. */
export function unreachable(shown: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError(
    "INPUT_URL_UNREACHABLE",
    `${shown} cannot be read now: ${why}; it is tried again`,
    {
      cause,
    },
  );
}
