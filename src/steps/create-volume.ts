import { inputWish } from "../job/input-wish.ts";
import { planOutputs } from "../job/paths.ts";
import type { Step } from "./context.ts";
import { checkEditor } from "./edit-text.ts";
import { checkModel, checkSpeech } from "./speech-models.ts";

/** Checks the files first, so that a wrong request costs nothing, then makes the volume. */
export const createVolume: Step<"createVolume"> = async ({ id, request, signal }, tools) => {
  const { volumes, media, models } = tools;
  if (request.type === "transcribe") {
    checkModel(request.request.model, models);
    checkEditor(request.request, tools.editor);
    await checkSpeech(request.request, models, tools.engines, signal);
  }
  const { input: path, overwrite = false } = request.request;
  const input = await media.openInput({ ...inputWish(request), isCheck: true, signal });
  await input[Symbol.asyncDispose]();
  const inputIdentity = input.elsewhere?.identity;
  const outputs = planOutputs(request);
  const targets = await media.checkOutputs({ jobId: id, outputs, input: path, overwrite, signal });
  signal.throwIfAborted();
  // Not aborted once sent, only by the RPC's own deadline: a volume whose ID is never received cannot be deleted
  // and only expires.
  const volume = await volumes.create({ signal: new AbortController().signal });
  return { ...volume, targets, ...(inputIdentity === undefined ? {} : { inputIdentity }) };
};
