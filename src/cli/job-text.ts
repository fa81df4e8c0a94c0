import prettyBytes from "pretty-bytes";
import type { Receipt } from "../job/receipt.ts";
import { isFinal, type JobReport, type JobView } from "../job/summary.ts";

/** Describes a job in several lines. */
export function describeJob(job: JobView): string {
  const lines = [
    `${job.id}  ${job.type}  ${job.status}${job.status === job.state ? "" : ` (${job.state})`}`,
    `  input    ${job.input ?? "(none)"}`,
    ...job.states.map(({ state, ms, attempts }) => {
      const tries = attempts > 1 ? `, ${attempts} tries` : "";
      return `  ${state.padEnd(14)} ${(ms / 1000).toFixed(1)} s${tries}`;
    }),
    ...job.outputs.map(({ path, bytes }) => `  output   ${path}  ${prettyBytes(bytes)}`),
  ];
  if (job.report !== null) {
    const { mediaSeconds, gpuSeconds, sentBytes, inputBytes, audioOnly, warnings } = job.report;
    lines.push(
      `  done by  ${engineText(job.report)}: ${mediaSeconds.toFixed(1)} s of media in ${gpuSeconds.toFixed(1)} s`,
      ...speechLines(job.report),
      ...filmLines(job.report),
    );
    if (job.report.edit !== undefined) lines.push(editLine(job.report.edit));
    const what = audioOnly ? ", the audio only" : "";
    lines.push(`  sent     ${prettyBytes(sentBytes)} of ${prettyBytes(inputBytes)}${what}`);
    lines.push(...warnings.map((warning) => `  warning  ${warning}`));
  }
  if (job.receipt !== null) lines.push(`  cost     ${costText(job.receipt)}`, ...partLines(job.receipt));
  if (job.error !== null) lines.push(`  error    ${job.error.code}: ${job.error.message}`);
  return lines.join("\n");
}

/** The time of the calls in parts. */
function partLines({ parts }: Receipt): string[] {
  if (parts === null) return [];
  const { coldStart, download, load, compute, upload } = parts;
  const names = Object.entries({ start: coldStart, download, load, compute, upload });
  return [`           ${names.map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`).join(", ")}`];
}

/** Describes what was paid: `12.3 s on A10G in 1 call, about 0.0038 USD`. */
function costText({ calls, gpuSeconds, usd }: Receipt): string {
  if (calls.length === 0) return "nothing; no GPU call has ended";
  const gpus = [...new Set(calls.map(({ gpu }) => gpu))].join(", ");
  const price = usd === null ? "no price known" : `about ${usd.toFixed(4)} USD`;
  const count = calls.length === 1 ? "1 call" : `${calls.length} calls`;
  return `${gpuSeconds.toFixed(1)} s on ${gpus} in ${count}, ${price}`;
}

function editLine(edit: NonNullable<JobReport["edit"]>): string {
  const { model, sentences, inputTokens, outputTokens, usd, translatedTo } = edit;
  const into = translatedTo === null ? "" : `, into ${translatedTo}`;
  const cost = usd === null ? "" : `, ${usd.toFixed(4)} USD`;
  return `  edited   ${sentences} sentences by ${model}${into}: ${inputTokens + outputTokens} tokens${cost}`;
}

/** How a film was spread over containers, or that none was needed. */
function filmLines({ parallel, cachedFrom }: JobReport): string[] {
  if (cachedFrom !== undefined) return [`  taken    from job ${cachedFrom}, which heard the same sound`];
  if (parallel === undefined) return [];
  const { asked, containers, parts, why } = parallel;
  const fewer = why === undefined ? "" : `, ${asked} were asked for: ${why}`;
  const what = `${parts} ${parts === 1 ? "part" : "parts"}`;
  return [
    `  spread   ${what} in at most ${containers} ${containers === 1 ? "container" : "containers"}${fewer}`,
  ];
}

function engineText({ engine, model }: JobReport): string {
  return model === undefined ? engine : `${engine} (${model})`;
}

function speechLines({
  language,
  languageProbability,
  speechSeconds,
  droppedSegments = 0,
}: JobReport): string[] {
  if (language === undefined) return [];
  const sure = languageProbability === undefined ? "" : ` (${Math.round(languageProbability * 100)} %)`;
  const speech = speechSeconds === undefined ? "" : `, ${speechSeconds.toFixed(1)} s of speech`;
  const dropped = droppedSegments === 0 ? "" : `, ${droppedSegments} segments dropped that nobody said`;
  return [`  heard    ${language}${sure}${speech}${dropped}`];
}

/** Describes a job in one line of a list. */
export function describeRow(job: JobView): string {
  const age = new Date(job.submittedAt).toISOString().replace("T", " ").slice(0, 19);
  return `${job.id}  ${job.type.padEnd(10)}  ${job.status.padEnd(9)}  ${job.state.padEnd(12)}  ${age}  ${job.input ?? ""}${waitsFor(job)}`;
}

/** The reason for which a job that is not over waits. */
function waitsFor({ status, error }: JobView): string {
  return error === null || isFinal(status) ? "" : `  (${error.code})`;
}
