import type { Gained } from "../job/facts.ts";
import { inputWish } from "../job/input-wish.ts";
import { remoteInputPath } from "../job/paths.ts";
import type { Step, StepJob, StepTools } from "./context.ts";
import type { InputFile } from "../ports/media.ts";
import { sendAudio } from "./send-audio.ts";
import { transferReporter } from "./transfer-progress.ts";

/** Sends the input, or what is needed of it, into the volume. A repeated upload sends only blocks that it lacks. */
export const upload: Step<"upload"> = async (step, tools) => {
  const { request, signal } = step;
  await using input = await tools.media.openInput({ ...inputWish(request), signal });
  const sent = (await sendAudio(step, input, tools)) ?? (await sendFile(step, input, tools));
  return { ...sent, ...(input.seconds === null ? {} : { inputSeconds: input.seconds }) };
};

async function sendFile(
  { id, request, facts, signal, report }: StepJob<"upload">,
  { localPath }: InputFile,
  { volumes, now }: StepTools,
): Promise<Gained<"upload">> {
  const remotePath = remoteInputPath(id, request.request.input);
  const sent = await volumes.putFile({
    volumeId: facts.volumeId,
    remotePath,
    localPath,
    signal,
    onProgress: transferReporter(report, now),
  });
  return { remotePath, inputBytes: sent.sizeBytes, sentBytes: sent.sentBytes };
}
