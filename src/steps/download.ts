import { type FileHandle, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutputFile } from "../job/facts.ts";
import { planOutputs } from "../job/paths.ts";
import type { Step, StepJob, StepTools } from "./context.ts";
import { parseSegments, type Transcript } from "./handler-contract.ts";
import { transferReporter } from "./transfer-progress.ts";
import { renderTranscript } from "./transcript-formats.ts";

/** Fetches the result and writes the outputs: the MP4 as it is, subtitles rendered from the segments. */
export const download: Step<"download"> = async (job, tools) => {
  return {
    outputs: job.job.type === "convert" ? await saveVideo(job, tools) : await saveSubtitles(job, tools),
  };
};

async function saveVideo(job: StepJob<"download">, tools: StepTools): Promise<OutputFile[]> {
  const outputs = planOutputs(job.job).map((output) => ({
    output,
    fill: async (into: FileHandle) => {
      await tools.volumes.getFile({
        volumeId: job.facts.volumeId,
        remotePath: job.facts.result.path,
        into,
        signal: job.signal,
        onProgress: transferReporter(job.report, tools.now),
      });
    },
  }));
  return await tools.media.writeOutputs({ jobId: job.id, outputs });
}

async function saveSubtitles(job: StepJob<"download">, tools: StepTools): Promise<OutputFile[]> {
  const transcript = await fetchTranscript(job, tools);
  const outputs = planOutputs(job.job).flatMap((output) => {
    const { format } = output;
    if (format === "mp4") return [];
    const text = renderTranscript(format, transcript, job.facts.result.engine);
    return [{ output, fill: async (into: FileHandle) => await into.writeFile(text) }];
  });
  return await tools.media.writeOutputs({ jobId: job.id, outputs });
}

async function fetchTranscript(job: StepJob<"download">, tools: StepTools): Promise<Transcript> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-"));
  try {
    const path = join(folder, "segments.json");
    const into = await open(path, "wx");
    try {
      await tools.volumes.getFile({
        volumeId: job.facts.volumeId,
        remotePath: job.facts.result.path,
        into,
        signal: job.signal,
        onProgress: transferReporter(job.report, tools.now),
      });
    } finally {
      await into.close();
    }
    return parseSegments(await readFile(path, "utf8"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
