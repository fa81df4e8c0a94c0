import { placeOf } from "../../job/places.ts";
import { MirumojiError } from "../../job/errors.ts";
import type { Outbound } from "../../net/outbound.ts";
import type { RemoteSource } from "./source.ts";
import { openUrl } from "./url-source.ts";

/** Inputs that are not in the media root. */
export interface Elsewhere {
  /** Longest input that is taken. */
  readonly maxBytes: number;
  /**
   * Asks for an input without reading it.
   *
   * @throws MirumojiError those of `openUrl`, `REQUEST_INVALID`
   */
  open(path: string, signal: AbortSignal): Promise<RemoteSource>;
  close(): Promise<void>;
}

export function openElsewhere({
  outbound,
  maxBytes,
}: {
  readonly outbound: Outbound;
  readonly maxBytes: number;
}): Elsewhere {
  return {
    maxBytes,
    close: async () => await outbound.close(),
    async open(path, signal) {
      const place = placeOf(path, "input");
      if (place.kind === "url") return await openUrl(place.url, { outbound, signal });
      throw new MirumojiError("REQUEST_INVALID", `input: there is no connection ${place.connection} here`);
    },
  };
}
