import { stat } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import { shownPath } from "./shown-path.ts";

/** A file that must stay as it is while another program reads it. */
export interface SteadyFile {
  readonly sizeBytes: number;
  /** Throws `INPUT_CHANGED` when it is another file than in the beginning, or has other content. */
  assertUnchanged(): Promise<void>;
}

/** Remembers what a file is now. Rejects with node's own errors. */
export async function steadyFile(path: string): Promise<SteadyFile> {
  const look = async () => await stat(path, { bigint: true });
  const before = await look();
  return {
    sizeBytes: Number(before.size),
    async assertUnchanged() {
      const now = await look().catch(() => null);
      if (now === null) throw changed(path, "it is gone");
      if (now.size !== before.size) throw changed(path, `it had ${before.size} bytes and has ${now.size}`);
      if (now.mtimeNs !== before.mtimeNs) throw changed(path, "its modification time is a new one");
      if (now.ino !== before.ino || now.dev !== before.dev) throw changed(path, "it is another file");
    },
  };
}

function changed(path: string, why: string): MirumojiError {
  return new MirumojiError(
    "INPUT_CHANGED",
    `${shownPath(path)} changed while its audio was being sent: ${why}; submit the job when the file is written`,
  );
}
