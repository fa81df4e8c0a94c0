import type { Probe } from "./probe.ts";

/** The index of a long film takes tens of milliseconds to read, which the main thread must not spend at once. */
const SMALL_BYTES = 16 * 1024 * 1024;

/**
 * Looks for a video stream in a small file without starting a program, which would cost more than the rest of a
 * short job. It can only say yes: null means that ffprobe has to tell.
 */
export async function quickLookForVideo(localPath: string, sizeBytes: number): Promise<Probe | null> {
  if (sizeBytes > SMALL_BYTES) return null;
  // Loaded when first needed: it takes a tenth of a second.
  const { FilePathSource, Input, MATROSKA, MP4, MPEG_TS, QTFF, WEBM } = await import("mediabunny");
  // No playlists: their entries could be any file of this machine.
  const formats = [MP4, QTFF, MATROSKA, WEBM, MPEG_TS];
  const input = new Input({ formats, source: new FilePathSource(localPath) });
  try {
    const tracks = await input.getTracks();
    const seconds = await input.getDurationFromMetadata();
    // Leaves to ffprobe every stream that it cannot name or place in time.
    const codecs = await Promise.all(
      tracks.filter((track) => track.isVideoTrack()).map(async (track) => await track.getCodec()),
    );
    if (codecs.every((codec) => codec === null)) return null;
    if (seconds === null || !(seconds > 0)) return null;
    return { streams: new Set(tracks.map(({ type }) => type)), seconds, startSeconds: 0, details: null };
  } catch {
    return null;
  } finally {
    input.dispose();
  }
}
