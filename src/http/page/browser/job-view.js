import { ApiError, call, callJson, explain } from "./api.js";
import { actionButton, announce, complain, fill, h, setText } from "./dom.js";
import { createDownloads } from "./downloads.js";
import { listen } from "./events.js";
import { buttonsOf } from "./list.js";
import { createPlayer } from "./player.js";
import {
  bytes,
  duration,
  isOver,
  jobName,
  money,
  percentOf,
  plainMessage,
  stageOf,
  statusWord,
} from "./words.js";

/** @typedef {import("../../../job/summary.ts").JobView} JobView */

/**
 * One job: how it goes, its player with the transcript, and its files.
 *
 * @param {HTMLElement} main
 * @param {string} id
 * @param {{ mayOperate: boolean }} options
 * @returns {() => void} Ends it.
 */
export function showJobView(main, id, { mayOperate }) {
  const path = `jobs/${encodeURIComponent(id)}`;
  const title = h("h1", { tabindex: "-1" }, "…");
  const chip = h("span", { class: "status" });
  const buttons = h("span", { class: "buttons" });
  const bar = h("progress", { max: 100, value: 0, "aria-label": "Progress of the job" });
  const stage = h("p", { class: "muted stage" });
  const progress = h("section", { class: "card", "aria-label": "Progress", hidden: true }, bar, stage);
  const trouble = h("section", { class: "card problem", "aria-label": "Problem", hidden: true });
  const result = h("div", { class: "result" });
  const about = h("section", { class: "card", "aria-labelledby": "about-title", hidden: true });
  let status = "";
  let isClosed = false;
  /** @type {(() => void)} */
  let closePlayer = () => undefined;

  fill(
    main,
    h("p", { class: "back" }, h("a", { href: "#/" }, "← All jobs")),
    h("header", { class: "job-head" }, title, chip, buttons),
    progress,
    trouble,
    result,
    about,
  );

  /** @param {JobView} job */
  const update = (job) => {
    const name = jobName(job);
    setText(title, name);
    document.title = `${name} · mirumoji`;
    chip.className = `status ${job.status}`;
    setText(chip, statusWord(job.status));
    progress.hidden = isOver(job.status);
    if (job.status === "queued") bar.removeAttribute("value");
    else bar.value = percentOf(job);
    setText(stage, stageOf(job));
    if (job.status === status) return;
    if (status !== "") announce(`${name}: ${statusWord(job.status)}`);
    status = job.status;
    fill(buttons, mayOperate && [...buttonsOf(job), isOver(job.status) && forget(job)]);
    void showProblem(trouble, job);
    showResult(job);
    showAbout(about, job);
  };

  /** @param {JobView} job */
  const showResult = (job) => {
    closePlayer();
    closePlayer = () => undefined;
    fill(result);
    if (job.status !== "completed") return;
    const player = createPlayer(job);
    closePlayer = () => player.close();
    fill(result, player.element, createDownloads(job));
  };

  /** @param {JobView} job */
  const forget = (job) => {
    let isSure = false;
    const button = actionButton(
      "Remove",
      async () => {
        if (!isSure) {
          isSure = true;
          setText(button, "Really remove?");
          return;
        }
        await call(path, { method: "DELETE" });
        location.hash = "#/";
      },
      { class: "quiet", title: "Takes the job off the list; its files stay where they are" },
    );
    button.addEventListener("blur", () => {
      isSure = false;
      setText(button, "Remove");
    });
    button.setAttribute(
      "aria-description",
      `Takes ${jobName(job)} off the list; its files stay where they are`,
    );
    return button;
  };

  const load = async () => {
    try {
      const job = await callJson(path);
      if (!isClosed) update(job);
    } catch (error) {
      if (isClosed) return;
      if (error instanceof ApiError && error.code === "JOB_NOT_FOUND") showMissing(main);
      else complain(error);
    }
  };
  const stopListening = listen({
    onGap: () => void load(),
    onJob: (job) => {
      if (job.id === id) update(job);
    },
  });
  const begin = async () => {
    await load();
    if (!isClosed) title.focus({ preventScroll: true });
  };
  void begin();
  return () => {
    isClosed = true;
    stopListening();
    closePlayer();
  };
}

/**
 * @param {HTMLElement} place
 * @param {JobView} job
 */
async function showProblem(place, { error, status, report }) {
  const warnings = report?.warnings ?? [];
  place.hidden = error === null && warnings.length === 0;
  if (place.hidden) return;
  if (error === null) {
    place.className = "card warning";
    fill(
      place,
      h("h2", {}, "Worth knowing"),
      h(
        "ul",
        {},
        warnings.map((text) => h("li", {}, text)),
      ),
    );
    return;
  }
  place.className = status === "cancelled" ? "card" : "card problem";
  const known = await explain(error.code);
  fill(
    place,
    h("h2", {}, status === "cancelled" ? "This job was cancelled" : (known?.meaning ?? "This job failed")),
    h("p", { class: "message" }, plainMessage(error.message)),
    known !== null &&
      status !== "cancelled" &&
      h("p", {}, h("b", {}, "What to do: "), known.advice.replaceAll("`", "")),
    h("p", { class: "muted" }, "Error code ", h("code", {}, error.code)),
  );
}

/** @param {HTMLElement} main */
function showMissing(main) {
  document.title = "No such job · mirumoji";
  fill(
    main,
    h(
      "section",
      { class: "card" },
      h("h1", {}, "There is no such job"),
      h("p", {}, "It may be of another key, or removed: finished jobs are kept for some days."),
      h("p", {}, h("a", { href: "#/" }, "All jobs")),
    ),
  );
}

/**
 * @param {HTMLElement} place
 * @param {JobView} job
 */
function showAbout(place, job) {
  const { report, receipt } = job;
  place.hidden = false;
  /** @type {[string, string | null | undefined | false][]} */
  const facts = [
    ["Kind", job.type === "convert" ? "Convert to MP4" : "Transcribe"],
    ["Submitted", new Date(job.submittedAt).toLocaleString()],
    ["Took", job.finishedAt !== null && duration((job.finishedAt - job.submittedAt) / 1000)],
    ["Length", report !== null && report.mediaSeconds > 0 && duration(report.mediaSeconds)],
    ["Input", report !== null && report.inputBytes > 0 && bytes(report.inputBytes)],
    ["Language", report?.language !== undefined && languageName(report.language)],
    ["Engine", report !== null && [report.engine, report.model].filter(Boolean).join(", ")],
    ["GPU time", receipt !== null && duration(receipt.gpuSeconds)],
    ["Cost", receipt !== null && money(receipt.usd)],
    ["Tags", job.tags.join(", ")],
    ["Job ID", job.id],
  ];
  fill(
    place,
    h("h2", { id: "about-title" }, "About this job"),
    h(
      "dl",
      {},
      facts.flatMap(([name, value]) =>
        value
          ? [h("div", { class: name === "Job ID" ? "wide" : "" }, h("dt", {}, name), h("dd", {}, value))]
          : [],
      ),
    ),
  );
}

/** @param {string} code */
function languageName(code) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code);
  } catch {
    return code;
  }
}
