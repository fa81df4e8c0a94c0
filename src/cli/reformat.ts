import { type Command, Option } from "commander";
import prettyBytes from "pretty-bytes";
import { openTranscriptReader } from "../compose/transcripts.ts";
import { SUBTITLE_FORMATS, type SubtitleFormat } from "../job/contract.ts";
import type { ReformatOptions } from "../job/reformat.ts";
import { openRedisClient } from "../queue/redis-client.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, print, printJson } from "./output.ts";
import { parseNumber } from "./transcribe-options.ts";

interface Options {
  readonly format: string;
  readonly output?: string;
  readonly overwrite?: boolean;
  readonly stdout?: boolean;
  readonly json?: boolean;
  readonly layout?: "readable" | "raw";
  readonly maxLineWidth?: number;
  readonly maxLines?: number;
  readonly maxCps?: number;
  readonly wordTimes?: boolean;
  readonly partial?: boolean;
}

export function addReformat(program: Command): void {
  program
    .command("reformat")
    .description("write a finished transcript in other formats and layouts, without the GPU")
    .argument("<id>", "job ID")
    .addOption(new Option("-f, --format <list>", `any of ${SUBTITLE_FORMATS.join(",")}`).default("srt"))
    .option(
      "-o, --output <path>",
      "where the files go, relative to the media root; default: beside the job's own",
    )
    .option("--overwrite", "replace files that are there; without it nothing is made")
    .option("--stdout", "print the text and write no file; takes one format")
    .option("--layout <layout>", "readable, or raw: every segment as it is")
    .option("--max-line-width <number>", "characters in a line", parseNumber)
    .option("--max-lines <number>", "lines in a cue", parseNumber)
    .option("--max-cps <number>", "characters a second", parseNumber)
    .option("--word-times", "put the time of each word into WebVTT")
    .option("--partial", "take what was transcribed of a film before its job was cancelled or failed")
    .option("--json", "one JSON document on stdout")
    .action(guarded((_id: string, { json }: Options) => json === true, reformat));
}

async function reformat(id: string, options: Options): Promise<void> {
  const { environment, mediaRoot } = clientEnvironment();
  await using client = await openRedisClient(environment);
  const reader = await openTranscriptReader(client, mediaRoot);
  const { layout, maxLineWidth, maxLines, maxCps, wordTimes, partial } = options;
  const wish = {
    layout,
    max_line_width: maxLineWidth,
    max_lines: maxLines,
    max_cps: maxCps,
    word_times: wordTimes,
    partial,
  };
  if (options.stdout === true) {
    process.stdout.write(await reader.readTranscript(id, options.format as SubtitleFormat, wish));
    return;
  }
  const { output, overwrite, format } = options;
  const outputs = await reader.reformat(id, {
    ...wish,
    // The schema checks every field.
    formats: format.split(",") as ReformatOptions["formats"],
    output,
    overwrite,
  });
  if (options.json === true) printJson({ outputs });
  else for (const { path, bytes } of outputs) print(`${path}  ${prettyBytes(bytes)}`);
}
