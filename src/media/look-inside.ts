import type { Stats } from "node:fs";
import { type Probe, probe } from "./probe.ts";
import { quickLookForVideo } from "./quick-look.ts";

/** Reads the content of a file; null when this machine has no ffprobe. */
export type LookInside = (
  localPath: string,
  about: { readonly info: Stats; readonly needs: "audio" | "video"; readonly signal: AbortSignal },
) => Promise<Probe | null>;

/** A job looks into its input twice, before and after its volume is made. */
const REMEMBERED = 256;

/** Looks in the cheapest way that can tell, and remembers what it saw until the file is another one. */
export function rememberingLook(): LookInside {
  const seen = new Map<string, Probe>();
  return async (localPath, { info, needs, signal }) => {
    const { dev, ino, size, mtimeMs, ctimeMs } = info;
    const key = [needs, dev, ino, size, mtimeMs, ctimeMs, localPath].join(":");
    const known = seen.get(key);
    if (known !== undefined) return known;
    const quick = needs === "video" ? await quickLookForVideo(localPath, size) : null;
    const found = quick ?? (await probe(localPath, signal));
    // Failures are not remembered: the file may be repaired meanwhile.
    if (found?.streams.has(needs) !== true) return found;
    seen.set(key, found);
    const [oldest] = seen.keys();
    if (seen.size > REMEMBERED && oldest !== undefined) seen.delete(oldest);
    return found;
  };
}
