import type { Command } from "commander";
import { isAbsolute, relative, resolve } from "node:path";
import { CONTRACT_VERSION, type JobType } from "../job/contract.ts";
import type { RequestOptions } from "../job/contract.ts";
import { inputWish } from "../job/input-wish.ts";
import { isElsewhere } from "../job/places.ts";
import { parseRequest } from "../job/parse-request.ts";
import { createMediaFiles } from "../media/media-files.ts";
import { openMediaRoot } from "../media/media-root.ts";
import { openClient } from "./client.ts";
import { clientEnvironment } from "./dev-session.ts";
import { describeJob } from "./job-text.ts";
import { guarded, note, print, printJson } from "./output.ts";
import { createProgressView } from "./progress-view.ts";
import { addTranscribeOptions, parseNumber, transcribeFields } from "./transcribe-options.ts";

interface CommonOptions {
  json?: boolean;
  wait?: boolean;
  output?: string;
}

/** Contract names of options that commander gives in camel case. */
const snake = (name: string) => name.replaceAll(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`);

export function addSubmit(program: Command): void {
  const submit = program.command("submit").description("put a job into its queue");
  const transcribe = submit
    .command("transcribe")
    .description("speech to subtitles and text")
    .argument("<path>", "media file, relative to the media root");
  common(addTranscribeOptions(transcribe), "transcribe", transcribeFields);
  const convert = submit
    .command("convert")
    .description("any video to H.264 and AAC in MP4")
    .argument("<path>", "media file, relative to the media root")
    .option("-r, --resolution <WxH>", "largest frame", "1280x720")
    .option("-b, --target-bitrate <rate>", "average video bit rate", "2500k")
    .option("-p, --preset <name>", "performance, balanced or quality", "balanced")
    .option("--crf <number>", "constant quality, 0 to 51, in place of a bit rate", parseNumber)
    .option("-c, --codec <name>", "h264, hevc or av1", "h264")
    .option("--copy", "take the streams over as they are when they fit already")
    .option("--deinterlace <how>", "auto, double (a frame of each field) or off")
    .option("-l, --language <code>", "language of the sound that a player takes first")
    .option("--audio-track <number>", "audio track that a player takes first, counted from 1", parseNumber)
    .option("--dual-mono <side>", "channel of a dual-mono broadcast: both, left or right")
    .option("--one-audio-track", "keep no other audio track")
    .option("--drop-subtitles", "keep no subtitle track");
  common(convert, "convert", ({ oneAudioTrack, dropSubtitles, ...rest }) => ({
    ...rest,
    ...(oneAudioTrack === true ? { keepAllAudio: false } : {}),
    ...(dropSubtitles === true ? { keepSubtitles: false } : {}),
  }));
}

function common(command: Command, type: JobType, shape: (options: Record<string, unknown>) => object): void {
  command
    .option("-o, --output <path>", "where the result goes, relative to the media root")
    .option("--tenant <name>", "customer for whom the job is done")
    .option("--priority <number>", "-10 to 10; among the tenant's jobs the highest is first", parseNumber)
    .option("--run-at <moment>", "not before this moment, such as 2027-01-31T22:00:00Z")
    .option("--delay-seconds <number>", "not before so many seconds from now", parseNumber)
    .option("--overwrite", "replace files that are there; without it such a job is refused")
    .option("-w, --wait", "wait for the end and show progress; exit code 0 only when completed")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_path: string, options: CommonOptions) => options.json === true,
        async (path: string, { json, wait, ...rest }: CommonOptions & Record<string, unknown>) => {
          const named = Object.fromEntries(
            Object.entries(shape(rest)).map(([name, value]) => [snake(name), value]),
          );
          await submitJob(type, path, named, { json: json === true, wait: wait === true });
        },
      ),
    );
}

async function submitJob(
  type: JobType,
  path: string,
  options: object,
  { json, wait }: { json: boolean; wait: boolean },
): Promise<void> {
  const { mediaRoot } = clientEnvironment();
  const input =
    mediaRoot === null || isElsewhere(path) ? path : await checkInput(mediaRoot, path, { type, options });
  await using client = await openClient();
  // The contract's schema checks every field; parsed options are untrusted until then.
  const request = { ...options, input } as RequestOptions[typeof type];
  const submitted = await client.jobs.submit(type, request);
  if (!wait) {
    if (json) printJson(submitted);
    else print(`${submitted.id}\n  follow it with: mirumoji-worker status ${submitted.id}`);
    return;
  }
  if (!json) note(`job ${submitted.id}`);
  const view = createProgressView();
  const job = await client.jobs
    .wait(submitted.id, { pollMs: 200, onChange: (current) => view.update(current) })
    .finally(() => view.stop());
  if (json) printJson(job);
  else print(describeJob(job));
  if (job.status !== "completed") {
    note(`${job.error?.code ?? job.status}: ${job.error?.message ?? "the job did not complete"}`);
    process.exitCode = 1;
  }
}

/** Reports a wrong path before anything is queued when the media root is on this machine. */
async function checkInput(
  mediaRoot: string,
  path: string,
  { type, options }: { type: JobType; options: object },
): Promise<string> {
  const root = await openMediaRoot(mediaRoot);
  const inside = isAbsolute(path) ? relative(root.path, resolve(path)) : path;
  const wish = inputWish(parseRequest(type, { ...options, v: CONTRACT_VERSION, input: inside }));
  await using _input = await createMediaFiles(root).openInput({
    ...wish,
    signal: AbortSignal.timeout(60_000),
  });
  return inside;
}
