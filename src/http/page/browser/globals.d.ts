import type * as tus from "tus-js-client";

/** The resumable-upload client, from a script of its own. */
declare global {
  interface Window {
    readonly tus: typeof tus;
  }
}
