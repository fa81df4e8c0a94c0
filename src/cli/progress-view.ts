import { MultiBar, type SingleBar } from "cli-progress";
import prettyBytes from "pretty-bytes";
import { isFinal, type JobView, type StepProgress } from "../job/summary.ts";
import { note } from "./output.ts";

/** Shows a job while it runs: a bar per state on a terminal, a line per state elsewhere. */
export interface ProgressView {
  update(job: JobView): void;
  stop(): void;
}

export function createProgressView(stream: NodeJS.WriteStream = process.stderr): ProgressView {
  return stream.isTTY ? barView(stream) : lineView();
}

const BAR_STEPS = 1000;

function barView(stream: NodeJS.WriteStream): ProgressView {
  const bars = new MultiBar(
    {
      format: "{label} {bar} {percent}  {detail}",
      stream,
      hideCursor: true,
      clearOnComplete: false,
      barsize: 24,
      autopadding: false,
      forceRedraw: true,
    },
    {
      format: "{label} {bar} {percent}  {detail}",
      barCompleteChar: "█",
      barIncompleteChar: "░",
    },
  );
  const byState = new Map<string, SingleBar>();
  const show = (name: string, label: string, fraction: number, percent: string, detail: string) => {
    const payload = { label: label.padEnd(24), percent: percent.padStart(4), detail };
    const bar = byState.get(name) ?? bars.create(BAR_STEPS, 0, payload);
    byState.set(name, bar);
    bar.update(Math.round(fraction * BAR_STEPS), payload);
  };
  return {
    update(job) {
      const running = isFinal(job.status) ? null : job.state;
      for (const { state, ms } of job.states) {
        const label = `${job.type} ${state}`;
        const key = `${job.id} ${state}`;
        if (state === running) {
          const fraction = job.step?.fraction;
          show(
            key,
            label,
            fraction ?? 0,
            fraction === undefined ? "" : `${Math.floor(fraction * 100)}%`,
            detailOf(job.step, ms),
          );
        } else show(key, label, 1, "100%", seconds(ms));
      }
      bars.update();
    },
    stop() {
      bars.stop();
    },
  };
}

function lineView(): ProgressView {
  const shown = new Set<string>();
  return {
    update(job) {
      for (const { state, ms } of job.states) {
        const isOver = isFinal(job.status) || state !== job.state;
        const key = `${job.id} ${state} ${isOver}`;
        if (shown.has(key)) continue;
        shown.add(key);
        note(isOver ? `${job.type} ${state} done in ${seconds(ms)}` : `${job.type} ${state} ...`);
      }
    },
    stop() {
      shown.clear();
    },
  };
}

/** Bytes, rate and time left of a transfer, or the handler's stage. */
export function detailOf(step: StepProgress | null, ms: number): string {
  if (step === null) return seconds(ms);
  const parts: string[] = [];
  if (step.doneBytes !== undefined && step.totalBytes !== undefined) {
    parts.push(`${prettyBytes(step.doneBytes)} of ${prettyBytes(step.totalBytes)}`);
  }
  if (step.bytesPerSecond !== undefined) parts.push(`${prettyBytes(step.bytesPerSecond)}/s`);
  if (step.stage !== undefined) parts.push(step.stage);
  if (step.etaSeconds !== undefined) parts.push(`${step.etaSeconds} s left`);
  else parts.push(seconds(ms));
  return parts.join(", ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
