import type { Levels } from "../job/film-parts.ts";

/** 50 ms at 16 kHz. */
const HOP_SAMPLES = 800;
const HOP_SECONDS = 0.05;
const FULL_SCALE = 32_768;
/** Digital silence. */
const LEAST_DB = -100;

/** Measures the loudness of 16 kHz mono samples of 16 bits as they pass. */
export interface LevelMeter {
  pass(chunk: Buffer): void;
  /** Of what has passed, whole hops only. */
  levels(): Levels;
}

export function levelMeter(): LevelMeter {
  const db: number[] = [];
  let squares = 0;
  let samples = 0;
  /** First byte of a sample that lies across two chunks. */
  let half: number | null = null;
  const add = (sample: number): void => {
    squares += sample * sample;
    samples += 1;
    if (samples < HOP_SAMPLES) return;
    const power = squares / samples / (FULL_SCALE * FULL_SCALE);
    db.push(power > 0 ? Math.max(LEAST_DB, 10 * Math.log10(power)) : LEAST_DB);
    squares = 0;
    samples = 0;
  };
  return {
    pass(chunk) {
      let at = 0;
      if (half !== null && chunk.length > 0) {
        add(((((chunk[0] ?? 0) << 8) | half) << 16) >> 16);
        half = null;
        at = 1;
      }
      for (; at + 1 < chunk.length; at += 2) add(chunk.readInt16LE(at));
      if (at < chunk.length) half = chunk[at] ?? 0;
    },
    levels: () => ({ hopSeconds: HOP_SECONDS, db }),
  };
}
