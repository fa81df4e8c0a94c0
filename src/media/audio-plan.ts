/** 16 kHz mono samples of 16 bits, as they are, and what FLAC puts around them: it never takes more. */
const MOST_BYTES_PER_SECOND = 32_400;
const HEADER_BYTES = 16 * 1024;
/** Average bytes per second of films, talk and music; for progress. */
export const USUAL_BYTES_PER_SECOND = 18_000;
/** A gain for which it is worth to start a program. */
const LEAST_GAIN_BYTES = 1024 * 1024;
const LEAST_GAIN_SHARE = 0.1;

/** Largest audio track, relative to the file, that is sent in the file's place. */
export function mostWorthSending(sizeBytes: number): number {
  return Math.floor(sizeBytes - Math.max(LEAST_GAIN_BYTES, sizeBytes * LEAST_GAIN_SHARE));
}

/**
 * Whether a file's audio track should be sent in its place, from what is known without reading it: `track` when that
 * is less for sure, `taste` when some seconds of it must tell, `file` when it cannot be.
 */
export function planAudio(file: {
  readonly sizeBytes: number;
  readonly seconds: number | null;
  readonly hasVideo: boolean;
}): "track" | "taste" | "file" {
  const limit = mostWorthSending(file.sizeBytes);
  if (limit <= HEADER_BYTES) return "file";
  // A file of unknown length is mostly its video. The limit is watched while it is sent.
  if (file.seconds === null) return file.hasVideo ? "track" : "file";
  return file.seconds * MOST_BYTES_PER_SECOND + HEADER_BYTES <= limit ? "track" : "taste";
}
