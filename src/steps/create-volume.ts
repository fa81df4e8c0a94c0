import { planOutputs } from "../job/paths.ts";
import type { Step } from "./context.ts";

/** Checks the files first, so that a wrong request costs nothing, then makes the volume. */
export const createVolume: Step<"createVolume"> = async ({ request, signal }, { volumes, media }) => {
  await media.openInput({ path: request.request.input, needs: streamNeededBy(request.type), signal });
  await media.checkOutputs(planOutputs(request));
  signal.throwIfAborted();
  // Once it is sent it is waited for, with the RPC's own deadline: a volume whose ID nobody hears could not be
  // deleted, only expire.
  return await volumes.create({ signal: new AbortController().signal });
};

/** Which stream the input must hold. */
export function streamNeededBy(type: "transcribe" | "convert"): "audio" | "video" {
  return type === "transcribe" ? "audio" : "video";
}
