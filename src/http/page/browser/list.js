import { call, callJson } from "./api.js";
import { actionButton, announce, complain, fill, h, setText } from "./dom.js";
import { listen } from "./events.js";
import { ago, isOver, jobName, percentOf, plainMessage, stageOf, statusWord } from "./words.js";

/** @typedef {import("../../../job/summary.ts").JobView} JobView */

const PAGE_SIZE = 30;
const TYPING_MS = 250;
const CLOCK_MS = 30_000;

/**
 * The list of jobs, newest first, which changes by itself.
 *
 * @param {{ mayOperate: boolean }} options
 */
export function createList({ mayOperate }) {
  /** @type {Map<string, ReturnType<typeof createRow>>} */
  const rows = new Map();
  /** @type {string | null} */
  let cursor = null;
  let asked = 0;
  const search = h("input", { type: "search", id: "search", placeholder: "Name or ID", autocomplete: "off" });
  const status = choice(
    "status",
    "Every status",
    ["queued", "running", "completed", "failed", "cancelled"].map((name) => [name, statusWord(name)]),
  );
  const type = choice("type", "Every kind", [
    ["transcribe", "Transcribe"],
    ["convert", "Convert"],
  ]);
  const list = h("ul", { class: "jobs", "aria-label": "Jobs" });
  const note = h("p", { class: "muted empty", hidden: true });
  const more = h("button", { type: "button", class: "quiet", hidden: true }, "Show more");

  const isFiltered = () => search.value.trim() !== "" || status.value !== "" || type.value !== "";
  const say = () => {
    note.hidden = rows.size > 0;
    setText(
      note,
      isFiltered() ? "No job is like this. Try another search." : "No jobs yet. Drop a film above to start.",
    );
  };
  /** @param {boolean} isNext */
  const load = async (isNext) => {
    const mine = ++asked;
    const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
    if (search.value.trim() !== "") query.set("search", search.value.trim());
    if (status.value !== "") query.set("status", status.value);
    if (type.value !== "") query.set("type", type.value);
    if (isNext && cursor !== null) query.set("cursor", cursor);
    const page = await callJson(`jobs?${query}`);
    if (mine !== asked) return;
    if (!isNext) {
      rows.clear();
      fill(list);
    }
    for (const job of /** @type {JobView[]} */ (page.jobs)) put(job, "end");
    cursor = page.nextCursor;
    more.hidden = cursor === null;
    say();
    if (isFiltered()) announce(`${rows.size}${cursor === null ? "" : " or more"} jobs found`);
    // A page may be short although more follow.
    if (rows.size === 0 && cursor !== null) await load(true);
  };
  /**
   * @param {JobView} job
   * @param {"start" | "end"} where
   */
  const put = (job, where) => {
    const known = rows.get(job.id);
    if (known !== undefined) {
      known.update(job);
      return;
    }
    const row = createRow(job, { mayOperate });
    rows.set(job.id, row);
    if (where === "start") list.prepend(row.element);
    else list.append(row.element);
  };
  /** @param {JobView} job */
  const isWanted = (job) => {
    const text = search.value.trim().toLowerCase();
    const names = [job.id, job.input ?? "", ...job.outputs.map(({ path }) => path)];
    return (
      (status.value === "" || job.status === status.value) &&
      (type.value === "" || job.type === type.value) &&
      (text === "" || names.some((name) => name.toLowerCase().includes(text)))
    );
  };
  const reload = () => void load(false).catch(complain);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(reload, TYPING_MS);
  });
  status.addEventListener("change", reload);
  type.addEventListener("change", reload);
  more.addEventListener("click", () => void load(true).catch(complain));
  const stopListening = listen({
    onGap: reload,
    onJob: (job) => {
      if (rows.has(job.id) || isWanted(job)) put(job, "start");
      say();
    },
  });
  const ticks = setInterval(() => {
    for (const row of rows.values()) row.tick();
  }, CLOCK_MS);
  reload();
  const element = h(
    "section",
    { "aria-labelledby": "jobs-title" },
    h("h2", { id: "jobs-title" }, "Jobs"),
    h(
      "div",
      { class: "filters", role: "search" },
      h("div", { class: "field grow" }, h("label", { for: "search" }, "Search"), search),
      h("div", { class: "field" }, h("label", { for: "filter-status" }, "Status"), status),
      h("div", { class: "field" }, h("label", { for: "filter-type" }, "Kind"), type),
    ),
    list,
    note,
    more,
  );
  return {
    element,
    /** @param {JobView} job */
    add: (job) => {
      if (isWanted(job)) put(job, "start");
      say();
    },
    focusSearch: () => search.focus(),
    close() {
      stopListening();
      clearInterval(ticks);
      clearTimeout(timer);
    },
  };
}

/**
 * @param {JobView} first
 * @param {{ mayOperate: boolean }} options
 */
function createRow(first, { mayOperate }) {
  let job = first;
  const link = h("a", { href: `#/jobs/${encodeURIComponent(job.id)}` }, jobName(job));
  const chip = h("span", { class: "status" });
  const stage = h("span", { class: "stage muted" });
  const time = h("time", { class: "muted", datetime: new Date(job.submittedAt).toISOString() });
  const bar = h("progress", { max: 100, value: 0, "aria-label": `Progress of ${jobName(job)}` });
  const buttons = h("span", { class: "buttons" });
  let shown = "";
  const tick = () => setText(time, ago(job.submittedAt, Date.now()));
  /** @param {JobView} next */
  const update = (next) => {
    job = next;
    chip.className = `status ${job.status}`;
    setText(chip, statusWord(job.status));
    const isRunning = job.status === "running";
    bar.hidden = !isRunning;
    bar.value = percentOf(job);
    const words = isRunning
      ? stageOf(job)
      : job.error === null
        ? summary(job)
        : plainMessage(job.error.message);
    setText(stage, words);
    stage.title = isRunning ? "" : words;
    tick();
    // Buttons stay as they are while they may be pressed.
    if (shown === job.status) return;
    shown = job.status;
    fill(buttons, mayOperate && buttonsOf(job));
  };
  update(job);
  const element = h(
    "li",
    { class: "job" },
    h("div", { class: "line" }, link, h("span", { class: "kind muted" }, job.type), chip),
    bar,
    h("div", { class: "line" }, stage, time, buttons),
  );
  return { element, update, tick };
}

/** @param {JobView} job */
function summary(job) {
  if (job.status === "queued") return stageOf(job);
  const formats = job.outputs.map(({ format }) => format);
  return formats.join(", ");
}

/**
 * Buttons for what can be done with a job.
 *
 * @param {JobView} job
 */
export function buttonsOf(job) {
  const path = `jobs/${encodeURIComponent(job.id)}`;
  const name = jobName(job);
  if (!isOver(job.status)) {
    const cancel = async () => await call(`${path}/cancel`, { method: "POST" });
    return [actionButton("Cancel", cancel, { class: "quiet", "aria-label": `Cancel ${name}` })];
  }
  if (job.status === "completed") return [];
  const retry = async () => await call(`${path}/retry`, { method: "POST" });
  return [actionButton("Try again", retry, { class: "quiet", "aria-label": `Try again: ${name}` })];
}

/**
 * @param {string} name
 * @param {string} all
 * @param {string[][]} choices
 */
function choice(name, all, choices) {
  return h(
    "select",
    { id: `filter-${name}` },
    [["", all], ...choices].map(([value = "", text = ""]) => h("option", { value }, text)),
  );
}
