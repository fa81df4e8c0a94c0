import type { JobRequest } from "./contract.ts";

/** Requirements of a job on its input. */
export interface InputWish {
  readonly path: string;
  /** Kind of stream that the input must hold. */
  readonly needs: "audio" | "video";
  /** Without it any sound will do. */
  readonly sound?: {
    /** Wanted language of the sound; null for any. */
    readonly language: string | null;
    /** Number among the audio tracks, from 1; null to choose. */
    readonly audioTrack: number | null;
    /** Channel of a dual-mono broadcast. */
    readonly dualMono: "both" | "left" | "right";
  };
}

export function inputWish({ type, request }: JobRequest): InputWish {
  const { input: path, audio_track: audioTrack, dual_mono: dualMono, language } = request;
  return {
    path,
    needs: type === "transcribe" ? "audio" : "video",
    sound: { language: language === "auto" ? null : language, audioTrack, dualMono },
  };
}
