import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { lavfi, mediaMaker, options } from "./media-maker.ts";

/*
 * Small files with what real ones have been reported for: broadcasts, recorders, discs, phones. A flash and a beep come
 * together at 1 and 3 s of `flash`, so that picture and sound can be compared.
 */

const FAST = options("-c:v libx264 -preset ultrafast -pix_fmt yuv420p");
const on = "lt(mod(t-1,2),0.2)*gt(t,0.9)";
const beep = `if(${on},0.5*sin(2*PI*1000*t),0)`;

/** Makes the files in a folder. */
export function zooMaker(folder: string) {
  const { make } = mediaMaker(folder);
  const at = (name: string) => join(folder, name);
  const flash = lavfi(`color=black:s=64x36:r=25:d=4,drawbox=t=fill:color=white:enable='${on}'`);
  const sound = lavfi(`aevalsrc='${beep}|${beep}':s=48000:d=4`);
  const joined = async (name: string, ...parts: string[]): Promise<string> => {
    await writeFile(
      at(name),
      Buffer.concat(await Promise.all(parts.map(async (part) => await readFile(part)))),
    );
    return at(name);
  };
  /** A WAV without any word about its channels, all silent but one. */
  const tracks = async (name: string, count: number, loud: number): Promise<string> => {
    const frames = 16_000;
    const data = Buffer.alloc(frames * count * 2);
    for (let frame = 0; frame < frames; frame++) {
      if (frame >= 8000)
        data.writeInt16LE(Math.round(30_000 * Math.sin(frame / 4)), (frame * count + loud) * 2);
    }
    const head = Buffer.alloc(68);
    head.write("RIFF");
    head.writeUInt32LE(60 + data.length, 4);
    head.write("WAVEfmt ", 8);
    head.writeUInt32LE(40, 16);
    head.writeUInt16LE(0xfffe, 20);
    head.writeUInt16LE(count, 22);
    head.writeUInt32LE(16_000, 24);
    head.writeUInt32LE(32_000 * count, 28);
    head.writeUInt16LE(2 * count, 32);
    head.writeUInt16LE(16, 34);
    head.writeUInt16LE(22, 36);
    head.writeUInt16LE(16, 38);
    head.write("0100000000001000800000aa00389b71", 44, "hex");
    head.write("data", 60);
    head.writeUInt32LE(data.length, 64);
    await writeFile(at(name), Buffer.concat([head, data]));
    return at(name);
  };
  const film = async (name: string, ...more: string[]) =>
    await make(name, ...flash, ...sound, ...FAST, "-c:a", "aac", ...more);
  const piece = async (name: string, from: number, seconds: number, offset: number, ...audio: string[]) =>
    await make(
      name,
      "-ss",
      String(from),
      "-t",
      String(seconds),
      "-i",
      at("base.nut"),
      ...FAST,
      ...options("-bf 0 -g 25 -muxdelay 0 -muxpreload 0"),
      ...audio,
      "-output_ts_offset",
      String(offset),
    );
  return {
    make,
    film,
    tracks,
    flash,
    sound,
    base: async () => await make("base.nut", ...flash, ...sound, ...options("-c:v ffv1 -c:a pcm_s16le")),
    /** Two recordings one after the other, the clock of the second one elsewhere, perhaps its channels too. */
    async broadcast(name: string, offset: number, channels = 2): Promise<string> {
      const audio = ["-c:a", "ac3", "-ac"];
      const parts = [
        await piece(`${name}-1.ts`, 0, 2, 0, ...audio, "2"),
        await piece(`${name}-2.ts`, 2, 2, 2 + offset, ...audio, String(channels)),
      ];
      return await joined(name, ...parts);
    },
    /** A broadcast that began long ago and changes the rate of its sound. */
    async rateChange(name: string): Promise<string> {
      const parts = [
        await piece(`${name}-1.ts`, 0, 2, 1000, ...options("-c:a mp2 -ar 32000")),
        await piece(`${name}-2.ts`, 2, 2, 1002, ...options("-c:a mp2 -ar 48000")),
      ];
      return await joined(name, ...parts);
    },
    /** A file of which only the first part was written, as a download leaves it that reserves its place. */
    async zeros(name: string, whole: string, share: number): Promise<string> {
      const data = await readFile(whole);
      await writeFile(at(name), data.fill(0, Math.floor(data.length * share)));
      return at(name);
    },
    /** The first part of a file, as a download leaves it that stopped. */
    async cut(name: string, whole: string, share: number): Promise<string> {
      const data = await readFile(whole);
      await writeFile(at(name), data.subarray(0, Math.floor(data.length * share)));
      return at(name);
    },
  };
}
