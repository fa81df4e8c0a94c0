import { remoteInputPath } from "../job/paths.ts";
import type { Step } from "./context.ts";
import { streamNeededBy } from "./create-volume.ts";
import { transferReporter } from "./transfer-progress.ts";

/** Sends the input into the volume. A repeated upload sends only blocks that the volume lacks. */
export const upload: Step<"upload"> = async ({ id, job, facts, signal, report }, { volumes, media, now }) => {
  const input = await media.openInput({ path: job.request.input, needs: streamNeededBy(job.type), signal });
  const remotePath = remoteInputPath(id, job.request.input);
  const sent = await volumes.putFile({
    volumeId: facts.volumeId,
    remotePath,
    localPath: input.localPath,
    signal,
    onProgress: transferReporter(report, now),
  });
  return {
    remotePath,
    inputBytes: sent.sizeBytes,
    sentBytes: sent.sentBytes,
    ...(input.seconds === null ? {} : { inputSeconds: input.seconds }),
  };
};
