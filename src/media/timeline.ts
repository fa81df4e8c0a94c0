/**
 * The one time line of both jobs: 0 is where the first stream of the file begins, gaps stay, and recordings that were
 * joined follow each other. `container/mirumoji_gpu/timeline.py` has the same rule for whole files.
 */

/** A clock that goes back further than this, in seconds, is another recording's. */
const MOST_BACK = 1;
/** In these containers a clock that runs ahead further is one too; elsewhere nothing was there to be recorded. */
const MOST_AHEAD = 10;
const JOINABLE: readonly string[] = ["mpegts", "mpeg", "ogg", "flv"];
/** Containers without any times: ffmpeg works them out from the first rate, which is wrong where the rate changes. */
const UNTIMED: readonly string[] = ["mp3", "aac", "ac3", "eac3", "dts", "truehd", "loas"];
/** Times must not be negative between two programs, where the first sound may begin before the first picture. */
export const BIAS_SECONDS = 10;
/**
 * Of these ffmpeg's decoders give the first frame after a change of the rate its time in ticks of the wrong rate: one
 * frame that stands apart from both its neighbours.
 */
const STRAYING: ReadonlySet<string> = new Set(["mp1", "mp2", "mp3"]);
const STRAY_KEPT =
  "if(gt(abs(NEXT_DTS-DTS)*TB,0.5)," +
  "if(N,if(gt(abs(DTS-PREV_INDTS)*TB,0.5),PREV_INDTS+round(0.024/TB),TS),NEXT_DTS-round(0.024/TB)),TS)";
/** The header of a later link of an Ogg file passes for a packet; none of sound is as long. */
const LONGEST_OGG = 0.9;
/** Packets by which streams of one time may be apart in the file. */
const INTERLEAVED = 3000;
/** A recording with more joints has no clock at all. */
const MOST_JOINTS = 200;

/** A packet in the order of the file; times in seconds. */
export interface Packet {
  readonly stream: number;
  readonly time: number;
  readonly seconds: number;
}

/** The place a stream's clock jumps to, and what is to be added to all times from there on, in seconds. */
export interface Jump {
  readonly to: number;
  readonly shift: number;
}

/** Whether recordings are joined in containers of this format, so that a file has to be read to see it. */
export function isJoinable(formats: ReadonlySet<string>): boolean {
  return JOINABLE.some((name) => formats.has(name));
}

/** Whether containers of this format hold no times, so that a sound is as long as its samples. */
export function isUntimed(formats: ReadonlySet<string>): boolean {
  return UNTIMED.some((name) => formats.has(name));
}

/** The jumps of one stream's clock where recordings were joined. A gap in one stream alone is none. */
export function jointsOf(packets: readonly Packet[], formats: ReadonlySet<string>, stream: number): Jump[] {
  const ahead = isJoinable(formats) ? MOST_AHEAD : Number.POSITIVE_INFINITY;
  const recordings: { start: number; end: number }[] = [];
  const place = new Map<number, number>();
  const last = new Map<number, { at: number; end: number }>();
  const cuts: { stream: number; recording: number; time: number }[] = [];
  packets.forEach((packet, at) => {
    if (formats.has("ogg") && packet.seconds > LONGEST_OGG) return;
    const before = last.get(packet.stream);
    const step = before === undefined ? 0 : packet.time - before.end;
    const isJump =
      before !== undefined &&
      (step < -MOST_BACK || (step > ahead && !othersBetween(packets, before, at, packet)));
    const started = { start: packet.time, end: packet.time };
    if (recordings.length === 0) recordings.push(started);
    let number = place.get(packet.stream) ?? recordings.length - 1;
    if (isJump) {
      const known = recordings.findIndex(
        ({ start, end }, other) =>
          other > number && start - MOST_AHEAD <= packet.time && packet.time <= end + MOST_AHEAD,
      );
      number = known >= 0 ? known : recordings.push(started) - 1;
    }
    place.set(packet.stream, number);
    if (number > 0 && (before === undefined || isJump)) {
      cuts.push({ stream: packet.stream, recording: number, time: packet.time });
    }
    const end = packet.time + packet.seconds;
    const recording = recordings[number] ?? started;
    recording.start = Math.min(recording.start, packet.time);
    recording.end = Math.max(recording.end, end);
    last.set(packet.stream, { at, end });
  });
  const shifts = [0];
  recordings.slice(1).forEach(({ start }, at) => {
    shifts.push((recordings[at]?.end ?? 0) + (shifts[at] ?? 0) - start);
  });
  return cuts
    .slice(0, MOST_JOINTS)
    .filter((cut) => cut.stream === stream)
    .map(({ recording, time }) => ({ to: time, shift: shifts[recording] ?? 0 }));
}

/** Whether another stream goes on while this one has nothing: then time really passed. */
function othersBetween(
  packets: readonly Packet[],
  { at: begin, end }: { at: number; end: number },
  at: number,
  packet: Packet,
): boolean {
  const margin = Math.min(1, (packet.time - end) / 4);
  return packets
    .slice(Math.max(0, begin - INTERLEAVED), at + INTERLEAVED)
    .some(
      ({ stream, time }) => stream !== packet.stream && end + margin < time && time < packet.time - margin,
    );
}

/** ffmpeg's expression for the bit stream filter `setts`: the file's times to the time line's, and the bias. */
export function continuous(joints: readonly Jump[], startSeconds: number, codec = ""): string {
  const base = `${STRAYING.has(codec) ? STRAY_KEPT : "TS"}+round((${(BIAS_SECONDS - startSeconds).toFixed(6)}`;
  if (joints.length === 0) return `${base})/TB)`;
  // Register 0 counts the joints that are behind. Decoders may lose some seconds there.
  const passed = joints.map(
    ({ to }, number) =>
      `gt(N,0)*eq(ld(0),${number})*gt(abs(DTS-PREV_INDTS)*TB,0.5)` +
      `*between(DTS*TB,${(to - 0.5).toFixed(6)},${(to + 5).toFixed(6)})`,
  );
  const shifts = joints.map(({ shift }, number) => {
    const more = shift - (joints[number - 1]?.shift ?? 0);
    return `${more < 0 ? "" : "+"}${more.toFixed(6)}*gte(ld(0),${number + 1})`;
  });
  return `st(0,ld(0)+${passed.join("+")});${base}${shifts.join("")})/TB)`;
}
