import type { FileStore } from "@tus/file-store";
import { readdir, stat } from "node:fs/promises";

const LONGEST_ROUND_MS = 600_000;

export interface ExpiringUploads {
  readonly store: FileStore;
  /** Folder of the store's records, one JSON file for each upload. */
  readonly records: string;
  readonly afterMs: number;
  readonly onError: (error: unknown, what: string) => void;
}

/**
 * Removes uploads that rest unfinished for too long, now and then. The store's own expiry compares with the offset of
 * the beginning, and would take finished files for unfinished ones; of those only the record is removed.
 */
export function startExpiry({ store, records, afterMs, onError }: ExpiringUploads): { stop: () => void } {
  const round = async () => {
    for (const record of await readdir(records)) {
      const id = record.replace(/\.json$/u, "");
      const upload = await store.getUpload(id).catch(() => null);
      if (upload === null) {
        await store.configstore.delete(id);
        continue;
      }
      const { mtimeMs } = await stat(upload.storage?.path ?? "");
      if (Date.now() - mtimeMs < afterMs) continue;
      if (upload.size === upload.offset) await store.configstore.delete(id);
      else await store.remove(id);
    }
  };
  const go = () => {
    round().catch((error: unknown) => onError(error, "unfinished uploads"));
  };
  go();
  const timer = setInterval(go, Math.min(LONGEST_ROUND_MS, afterMs));
  return { stop: () => clearInterval(timer) };
}
