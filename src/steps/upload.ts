import type { Gained } from "../job/facts.ts";
import { differenceOf } from "../job/input-identity.ts";
import { inputWish } from "../job/input-wish.ts";
import { remoteInputPath } from "../job/paths.ts";
import { openCallAhead } from "./call-ahead.ts";
import type { Step, StepJob, StepTools } from "./context.ts";
import type { InputFile, RemoteContent } from "../ports/media.ts";
import { sendAudio } from "./send-audio.ts";
import { transferReporter } from "./transfer-progress.ts";

/** Sends the input, or what is needed of it, into the volume. A repeated upload sends only blocks that it lacks. */
export const upload: Step<"upload"> = async (step, tools) => {
  const { request, signal } = step;
  await using input = await tools.media.openInput({ ...inputWish(request), signal });
  const change = changeOf(step, input);
  const sent = (await sendAudio(step, input, tools)) ?? (await sendFile(step, input, tools));
  const inputWarnings = [...(change === null ? [] : [change]), ...(sent.inputWarnings ?? [])];
  return {
    ...sent,
    ...(inputWarnings.length === 0 ? {} : { inputWarnings }),
    ...(input.seconds === null ? {} : { inputSeconds: input.seconds }),
  };
};

/** A warning when an input that is elsewhere is no longer what the job was begun with. */
function changeOf({ facts, warn }: StepJob<"upload">, { elsewhere }: InputFile): string | null {
  if (facts.inputIdentity === undefined || elsewhere === undefined) return null;
  const why = differenceOf(facts.inputIdentity, elsewhere.identity);
  if (why === null) return null;
  const warning = `the input changed after the job had begun: ${why}; the new one was taken`;
  warn(warning);
  return warning;
}

function streamed(content: RemoteContent, signal: AbortSignal) {
  return { content: content.read(signal), expectedBytes: () => content.identity.sizeBytes ?? 0 };
}

async function sendFile(
  step: StepJob<"upload">,
  input: InputFile,
  tools: StepTools,
): Promise<Gained<"upload">> {
  const { id, request, facts, signal, report } = step;
  const { volumes, now } = tools;
  const remotePath = remoteInputPath(id, request.request.input);
  const where = {
    volumeId: facts.volumeId,
    remotePath,
    signal,
    onProgress: transferReporter(report, now),
    onSent: () => openCallAhead(step, tools),
  };
  const sent =
    input.localPath === null
      ? await volumes.putStream({ ...where, ...streamed(input.elsewhere, signal) })
      : await volumes.putFile({ ...where, localPath: input.localPath });
  return { remotePath, inputBytes: sent.sizeBytes, sentBytes: sent.sentBytes };
}
