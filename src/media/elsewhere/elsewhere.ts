import type { S3Connection } from "../../config/s3-connections.ts";
import { placeOf } from "../../job/places.ts";
import type { Outbound } from "../../net/outbound.ts";
import type { MediaFiles } from "../../ports/media.ts";
import { abortUploads, checkRemoteOutputs, writeRemoteOutputs } from "./remote-outputs.ts";
import { openS3Source } from "./s3-source.ts";
import { openS3Stores } from "./s3-stores.ts";
import type { RemoteSource } from "./source.ts";
import { openUrl } from "./url-source.ts";

/** Inputs and outputs that are not in the media root. */
export interface Elsewhere {
  /** Longest input that is taken. */
  readonly maxBytes: number;
  /**
   * Asks for an input without reading it.
   *
   * @throws MirumojiError those of `openUrl` and `openS3Source`, `REQUEST_INVALID`, `CONNECTION_UNKNOWN`
   */
  open(path: string, signal: AbortSignal): Promise<RemoteSource>;
  readonly checkOutputs: MediaFiles["checkOutputs"];
  writeOutputs(
    scratchFolder: string,
    options: Parameters<MediaFiles["writeOutputs"]>[0],
  ): ReturnType<MediaFiles["writeOutputs"]>;
  /** Ends uploads that were begun and never finished. */
  abortUploads(uploads: Parameters<typeof abortUploads>[1]): Promise<void>;
  close(): Promise<void>;
}

export function openElsewhere({
  outbound,
  connections = {},
  maxBytes,
}: {
  readonly outbound: Outbound;
  readonly connections?: Readonly<Record<string, S3Connection>>;
  readonly maxBytes: number;
}): Elsewhere {
  const stores = openS3Stores(connections);
  const ways = { outbound, stores };
  return {
    maxBytes,
    async open(path, signal) {
      const place = placeOf(path, "input");
      if (place.kind === "url") return await openUrl(place.url, { outbound, signal });
      return await openS3Source(await stores.find(place), signal);
    },
    checkOutputs: async (options) => await checkRemoteOutputs(ways, options),
    writeOutputs: async (folder, options) => await writeRemoteOutputs(ways, folder, options),
    abortUploads: async (uploads) => await abortUploads(ways, uploads),
    async close() {
      stores.close();
      await outbound.close();
    },
  };
}
