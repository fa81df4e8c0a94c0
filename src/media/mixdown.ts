import type { SoundWish } from "./choose-audio.ts";
import type { Stream } from "./probe.ts";

/**
 * Gains of ITU-R BS.775 for each speaker, halved for those of a side, as both sides are mostly alike. The bass channel
 * is heard a little: some recorders have a voice in it. A name that a layout lacks counts nothing, so that one mix fits
 * a sound that changes its layout inside the file.
 */
const SIDE = {
  "F*": 0.5,
  "F*C": 0.355,
  "B*": 0.355,
  "S*": 0.355,
  "W*": 0.355,
  "D*": 0.5,
  "TF*": 0.25,
  "TB*": 0.25,
};
const MIDDLE = { FC: 0.71, LFE: 0.5, BC: 0.5, TC: 0.5, TFC: 0.5, TBC: 0.5 };
const LIMITER = "alimiter=limit=0.98:attack=5:release=50:level=disabled";

/** Channels that are mixed; `difference` is for those in opposite phase, whose sum is silent. */
export type Mix = SoundWish["dualMono"] | "difference";

/**
 * ffmpeg's filters for a mono mix whose loudness stays and that never clips; those of
 * `container/mirumoji_gpu/mixdown.py`, to the letter.
 */
export function monoMix(stream: Stream, side: Mix): string[] {
  const { channels: count = 2 } = stream;
  const limited = count > 2 ? [LIMITER] : [];
  if (side === "difference") return ["pan=mono|c0=0.5*FL+-0.5*FR+FC"];
  if (count > 1 && side !== "both") return [`pan=mono|c0=${side === "left" ? "FL" : "FR"}`];
  if (!hasLayout(stream)) {
    // Equal power: most of what recorders write so is one voice per track.
    const gain = (1 / Math.sqrt(count)).toFixed(4);
    const all = Array.from({ length: count }, (_, number) => `${gain}*c${number}`);
    return [`pan=mono|c0=${all.join("+")}`, ...limited];
  }
  const sides = ["L", "R"].flatMap((letter) =>
    Object.entries(SIDE).map(([name, gain]) => `${gain}*${name.replace("*", letter)}`),
  );
  const middle = Object.entries({ ...MIDDLE, ...(count === 1 ? { FC: 1 } : {}) });
  return [
    `pan=mono|c0=${[...sides, ...middle.map(([name, gain]) => `${gain}*${name}`)].join("+")}`,
    ...limited,
  ];
}

/** Whether the file says where each channel is heard; one and two channels need no word. */
function hasLayout({ channel_layout: layout = "", channels = 2 }: Stream): boolean {
  return (layout !== "" && layout !== "unknown" && !/^\d+ channels/u.test(layout)) || channels <= 2;
}
