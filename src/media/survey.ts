import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { programEnvironment } from "../config/child-environment.ts";
import { inputUrl } from "./ffmpeg-input.ts";
import type { ProbeDetails } from "./probe.ts";
import { type Jump, jointsOf, type Packet } from "./timeline.ts";

/** Survey of a file's packets: all of it was read, nothing decoded. */
export interface Survey {
  /** Jumps of the clock of each audio stream, where recordings were joined. */
  readonly joints: ReadonlyMap<number, readonly Jump[]>;
  /** Packets of each stream. */
  readonly counts: ReadonlyMap<number, number>;
  /** The latest end of any stream, in seconds of the file's own clock. */
  readonly endSeconds: number;
}

/** Reads every packet of a file. Rejects with the signal's reason. */
export async function surveyFile(path: string, details: ProbeDetails, signal: AbortSignal): Promise<Survey> {
  const show = ["-show_entries", "packet=stream_index,pts_time,dts_time,duration_time"];
  const args = ["-v", "error", ...details.inputOptions, ...show, "-of", "compact=p=0:nk=1", inputUrl(path)];
  const stdio = ["ignore", "pipe", "ignore"] as const;
  const child = spawn("ffprobe", args, { stdio: [...stdio], env: programEnvironment(), signal });
  // An abort is told by the signal; what cannot be started has no packets.
  child.on("error", () => {});
  const kinds = new Map(details.streams.map(({ index, codec_type: kind }) => [index, kind]));
  const packets: Packet[] = [];
  const counts = new Map<number, number>();
  let endSeconds = 0;
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout })) {
      const [index, shown, decoded, lasts] = line.split("|").map(Number);
      if (index === undefined || Number.isNaN(index) || line.startsWith("|") || line === "") continue;
      counts.set(index, (counts.get(index) ?? 0) + 1);
      const seconds = Number.isNaN(lasts) ? 0 : (lasts ?? 0);
      const time = [decoded, shown].find((value) => value !== undefined && !Number.isNaN(value));
      if (time === undefined) continue;
      endSeconds = Math.max(endSeconds, (Number.isNaN(shown) ? time : (shown ?? time)) + seconds);
      const kind = kinds.get(index);
      if (kind === "audio" || kind === "video") packets.push({ stream: index, time, seconds });
    }
  }
  signal.throwIfAborted();
  const sounds = details.streams.filter(({ codec_type: kind }) => kind === "audio");
  const joints = sounds.map(({ index }) => [index, jointsOf(packets, details.formats, index)] as const);
  return { joints: new Map(joints), counts, endSeconds };
}
