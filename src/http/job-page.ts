import prettyBytes from "pretty-bytes";
import type { Checkpoint } from "../job/checkpoint.ts";
import { PATH } from "../job/machine.ts";
import { fileNameOf } from "../job/places.ts";
import { isFinal, type JobReport, type JobView } from "../job/summary.ts";
import type { JobDetails } from "../queue/job-details.ts";
import { Html, html } from "./html.ts";
import { fractionOf, percentDone } from "./job-words.ts";
import { outputPath } from "./outputs.ts";
import { STYLE } from "./style.ts";

/** Seconds after which the page of a running job reloads. */
const REFRESH_SECONDS = 3;
const NOTHING = html``;

interface PageOptions {
  readonly isWritable: boolean;
}

export function showJob(details: JobDetails, options: PageOptions): string {
  const { view } = details;
  const title = view.input === null ? view.id : fileNameOf(view.input);
  const body = html`
    <nav>
      <a href="/board/queue/${encodeURIComponent(view.type)}">Bull Board</a>
      <a href="/api/jobs/${encodeURIComponent(view.id)}">JSON</a>
    </nav>
    <header>
      <h1>${title} <span class="status ${view.status}">${statusWord(details)}</span></h1>
      <p class="muted">${view.type} · <code>${view.id}</code></p>
    </header>
    ${showError(view)} ${showStates(view)} ${showActions(details, options)} ${showOutputs(view)}
    ${showFacts(details)} ${showCheckpoint(details.checkpoint)} ${showTimeline(details)}
  `;
  return document(`${title} · mirumoji-worker`, body, isFinal(view.status) ? null : REFRESH_SECONDS);
}

export function missingJobPage(id: string): string {
  const body = html`<nav><a href="/board">Bull Board</a></nav>
    <h1>No such job</h1>
    <p>There is no job <code>${id}</code>; finished jobs are kept for some days only.</p>`;
  return document("No such job · mirumoji-worker", body, null);
}

function document(title: string, body: Html, refreshSeconds: number | null): string {
  const refresh =
    refreshSeconds === null ? NOTHING : html`<meta http-equiv="refresh" content="${refreshSeconds}" />`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refresh}
        <title>${title}</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html> `.text;
}

function statusWord({ view, cancelRequestedAt }: JobDetails): string {
  return cancelRequestedAt !== null && !isFinal(view.status) ? "cancelling" : view.status;
}

function showError({ error, status }: JobView): Html {
  if (error === null) return NOTHING;
  return html`<section class="error ${status}">
    <strong>${error.code}</strong>
    <p>${error.message}</p>
  </section>`;
}

/** Shows the path of a job through its states, with the time each one took. */
function showStates(view: JobView): Html {
  const seen = view.states.map(({ state }) => state);
  const names = [...PATH.map(String), ...seen.filter((state) => !PATH.some((known) => known === state))];
  const current = isFinal(view.status) ? null : view.state;
  const broken = view.error === null ? null : seen.findLast((state) => state !== "undo");
  const items = names.map((name) => {
    const visit = view.states.findLast(({ state }) => state === name);
    const isCurrent = name === current;
    const percent = isCurrent ? Math.round(fractionOf(view.step) * 100) : 0;
    const kind = isCurrent ? "now" : visit === undefined ? "todo" : name === broken ? "broken" : "done";
    const tries = visit !== undefined && visit.attempts > 1 ? ` · ${visit.attempts} tries` : "";
    const words = visit === undefined ? (isCurrent ? "starting" : "–") : `${seconds(visit.ms)}${tries}`;
    const step = isCurrent && percent > 0 ? ` · ${percent} %` : "";
    return html`<li class="${kind}"><b>${name}</b><span>${words}${step}</span></li>`;
  });
  const bar = html`<progress max="100" value="${percentDone(view)}"></progress>`;
  return html`<section>
    ${isFinal(view.status) ? NOTHING : bar}
    <ol class="states">
      ${items}
    </ol>
  </section>`;
}

function showActions({ view, cancelRequestedAt }: JobDetails, { isWritable }: PageOptions): Html {
  const isOver = isFinal(view.status);
  const action = isOver ? "retry" : "cancel";
  if (view.status === "completed" || (!isOver && cancelRequestedAt !== null)) return NOTHING;
  if (!isWritable)
    return html`<p class="muted">Read-only. <code>BOARD_WRITE=1</code> lets you ${action} it here.</p>`;
  return html`<form method="post" action="/jobs/${encodeURIComponent(view.id)}/${action}">
    <button class="${action}">${isOver ? "Retry" : "Cancel"} this job</button>
  </form>`;
}

function showOutputs({ id, outputs }: JobView): Html {
  if (outputs.length === 0) return NOTHING;
  const rows = outputs.map(
    ({ path, format, bytes, sha256 }, index) =>
      html`<tr>
        <td><a href="${outputPath(id, index)}">${path}</a></td>
        <td>${format}</td>
        <td class="number">${prettyBytes(bytes)}</td>
        <td><code title="SHA-256 ${sha256}">${sha256.slice(0, 12)}</code></td>
      </tr>`,
  );
  return html`<section>
    <h2>Outputs</h2>
    <table>
      <tr>
        <th>file</th>
        <th>format</th>
        <th class="number">size</th>
        <th>SHA-256</th>
      </tr>
      ${rows}
    </table>
  </section>`;
}

function showFacts({ view, cancelRequestedAt }: JobDetails): Html {
  const { report } = view;
  const facts: [string, string | null][] = [
    ["input", view.input],
    ["submitted", time(view.submittedAt)],
    ["started", view.startedAt === null ? null : time(view.startedAt)],
    ["finished", view.finishedAt === null ? null : time(view.finishedAt)],
    ["cancel asked for", cancelRequestedAt === null ? null : time(cancelRequestedAt)],
    ["stage", view.step?.stage ?? null],
    ["done by", report?.engine ?? null],
    ["media", report === null ? null : `${report.mediaSeconds.toFixed(1)} s`],
    ["engine time", report === null ? null : `${report.gpuSeconds.toFixed(1)} s`],
    ["sent", report === null ? null : sentOf(report)],
    ["warnings", report === null || report.warnings.length === 0 ? null : report.warnings.join("; ")],
  ];
  return html`<section>
    <h2>Job</h2>
    ${table(facts)}
  </section>`;
}

function sentOf({ sentBytes, inputBytes, audioOnly }: JobReport): string {
  return `${prettyBytes(sentBytes)} of ${prettyBytes(inputBytes)}${audioOnly ? ", the audio only" : ""}`;
}

function showCheckpoint(checkpoint: Checkpoint | null): Html {
  if (checkpoint === null) return NOTHING;
  const { facts } = checkpoint;
  const shown: [string, string | null][] = [
    ["state", `${checkpoint.state}, try ${checkpoint.attempt}, since ${time(checkpoint.enteredAt)}`],
    ["volume", facts.volumeId ?? null],
    ["call", facts.callId ?? null],
    ["app", facts.appId ?? null],
    ["uploaded", facts.inputBytes === undefined ? null : prettyBytes(facts.inputBytes)],
    ["lost and made again", checkpoint.lost === 0 ? null : String(checkpoint.lost)],
    ["result", facts.result === undefined ? null : facts.result.engine],
  ];
  return html`<section>
    <h2>Checkpoint</h2>
    ${table(shown)}
  </section>`;
}

/** Each line of the log begins with its time. */
function showTimeline({ log, view }: JobDetails): Html {
  const rows = log.map((line) => {
    const [, at, words] = /^(\d{4}-\S+Z) ([\s\S]*)$/u.exec(line) ?? [null, null, line];
    const since = at === null || at === undefined ? "" : `+${seconds(Date.parse(at) - view.submittedAt)}`;
    return html`<tr>
      <td class="number muted" title="${at ?? ""}">${since}</td>
      <td>${words ?? ""}</td>
    </tr>`;
  });
  return html`<section>
    <h2>Timeline</h2>
    <table class="timeline">
      <tr>
        <td class="number muted">+0.0 s</td>
        <td>submitted</td>
      </tr>
      ${rows}
    </table>
  </section>`;
}

function table(entries: readonly [string, string | null][]): Html {
  const rows = entries
    .filter(([, value]) => value !== null)
    .map(
      ([name, value]) =>
        html`<tr>
          <th>${name}</th>
          <td>${value ?? ""}</td>
        </tr>`,
    );
  return html`<table class="facts">
    ${rows}
  </table>`;
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

function seconds(ms: number): string {
  if (ms < 90_000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 90
    ? `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
