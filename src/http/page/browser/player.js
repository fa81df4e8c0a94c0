import { callJson, pageUrl, renewSession } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, fileName } from "./words.js";

/** @typedef {import("../../../job/summary.ts").JobView} JobView */
/** @typedef {{ start: number, end: number, text: string }} Line */

const STEP_SECONDS = 5;
/** The list follows the film again after the reader has left it alone for so long. */
const ALONE_MS = 4000;

/**
 * The film or sound of a job with its subtitles on, and the transcript beside it.
 *
 * @param {JobView} job
 */
export function createPlayer(job) {
  const base = `media/${encodeURIComponent(job.id)}`;
  const isText = job.type === "transcribe";
  const video = h("video", {
    controls: true,
    preload: "metadata",
    playsinline: true,
    "aria-label": `Player of ${fileName(job.input ?? job.id)}`,
  });
  const note = h("p", { class: "muted", hidden: true });
  const stage = h("div", { class: "stage-box" }, video, note);
  const source = pageUrl(isText ? `${base}/input` : `${base}/outputs/0`);
  const track = isText
    ? h("track", {
        kind: "subtitles",
        label: "Subtitles",
        srclang: job.report?.language ?? "und",
        default: true,
      })
    : null;
  let isRenewed = false;
  const open = () => {
    if (track !== null) {
      track.src = pageUrl(`${base}/transcript?format=vtt`);
      video.append(track);
      track.track.mode = "showing";
    }
    video.src = source;
  };
  video.addEventListener("loadedmetadata", () => stage.classList.toggle("sound", video.videoWidth === 0));
  video.addEventListener("error", () => {
    if (!isRenewed) {
      // The session's cookie may be over, or another tab's.
      isRenewed = true;
      void renewSession().then(open, () => null);
      return;
    }
    void refuse();
  });
  const refuse = async () => {
    note.textContent = await explainRefusal(source);
    note.hidden = false;
    video.hidden = true;
    stage.classList.add("refused");
  };
  open();
  const transcript = isText ? createTranscript(job, video) : null;
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    const { target, key, ctrlKey, metaKey, altKey } = event;
    if (ctrlKey || metaKey || altKey || video.hidden) return;
    if (target instanceof HTMLElement && target.matches("input, select, textarea")) return;
    if (key === "k") void (video.paused ? video.play() : video.pause());
    else if (key === "j") video.currentTime -= STEP_SECONDS;
    else if (key === "l") video.currentTime += STEP_SECONDS;
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", onKey);
  return {
    element: h("div", { class: transcript === null ? "watch" : "watch two" }, stage, transcript),
    close() {
      document.removeEventListener("keydown", onKey);
      video.removeAttribute("src");
      video.load();
    },
  };
}

/** @param {string} source */
async function explainRefusal(source) {
  const answer = await fetch(source, { headers: { range: "bytes=0-0" } }).catch(() => null);
  if (answer === null) return "The server cannot be reached at the moment.";
  if (answer.ok) return "This browser cannot play this kind of file. Convert it to MP4 to watch it here.";
  try {
    return `There is nothing to play: ${(await answer.json()).detail}`;
  } catch {
    return "The file cannot be reached at the moment.";
  }
}

/**
 * Lines to read along; a click on one goes there. One tab stop for all of them, arrow keys within.
 *
 * @param {JobView} job
 * @param {HTMLVideoElement} video
 */
function createTranscript(job, video) {
  const find = h("input", {
    type: "search",
    id: "find",
    placeholder: "Find in the text",
    autocomplete: "off",
    "aria-label": "Find in the text",
  });
  const count = h("span", { class: "muted count", role: "status" });
  const list = h(
    "ol",
    { class: "lines", "aria-label": "Lines of the transcript" },
    h("li", { class: "muted" }, "Loading the text…"),
  );
  /** @type {Line[]} */
  let lines = [];
  /** @type {HTMLButtonElement[]} */
  let buttons = [];
  let current = -1;
  let touchedAt = -Infinity;
  for (const name of ["wheel", "touchmove", "pointerdown", "keydown"]) {
    list.addEventListener(name, () => (touchedAt = performance.now()), { passive: true });
  }
  const mark = () => {
    const index = lineAt(lines, video.currentTime);
    if (index === current) return;
    buttons[current]?.removeAttribute("aria-current");
    current = index;
    const button = buttons[index];
    if (button === undefined) return;
    button.setAttribute("aria-current", "true");
    if (!list.contains(document.activeElement)) stopAt(index);
    if (performance.now() - touchedAt > ALONE_MS) scrollInto(list, button);
  };
  /** @param {number} index */
  const stopAt = (index) => {
    for (const button of buttons) button.tabIndex = -1;
    const button = buttons[index];
    if (button !== undefined) button.tabIndex = 0;
  };
  /** @param {number} index */
  const goTo = (index) => {
    const line = lines[index];
    if (line === undefined) return;
    // Frames begin a little after their time; the line must have begun.
    video.currentTime = line.start + 0.01;
    stopAt(index);
    mark();
  };
  list.addEventListener("keydown", (event) => {
    const shown = buttons.filter(({ parentElement }) => parentElement?.hidden === false);
    const at = shown.findIndex((button) => button === document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
    const button = next === undefined ? undefined : shown[next];
    if (button === undefined || at === -1) return;
    event.preventDefault();
    stopAt(buttons.indexOf(button));
    button.focus();
  });
  const filter = () => {
    const text = find.value.trim().toLowerCase();
    let found = 0;
    for (const [index, { text: line }] of lines.entries()) {
      const isFound = line.toLowerCase().includes(text);
      const item = buttons[index]?.parentElement;
      if (item) item.hidden = !isFound;
      if (isFound) found++;
    }
    count.textContent = text === "" ? "" : `${found} of ${lines.length}`;
    const first = buttons.findIndex(({ parentElement }) => parentElement?.hidden === false);
    stopAt(text === "" && current >= 0 ? current : first);
  };
  find.addEventListener("input", filter);
  for (const name of ["timeupdate", "seeking", "seeked"]) video.addEventListener(name, mark);
  const load = async () => {
    const { segments } = await callJson(`jobs/${encodeURIComponent(job.id)}/transcript?format=json`);
    lines = segments;
    buttons = lines.map(({ start, text }, index) =>
      h(
        "button",
        { type: "button", tabindex: index === 0 ? 0 : -1, onclick: () => goTo(index) },
        h("span", { class: "at" }, clock(start)),
        h("span", {}, text),
      ),
    );
    if (lines.length === 0) fill(list, h("li", { class: "muted" }, "Nobody speaks here."));
    else
      fill(
        list,
        buttons.map((button) => h("li", {}, button)),
      );
    mark();
  };
  load().catch((/** @type {Error} */ error) => fill(list, h("li", { class: "trouble" }, error.message)));
  return h(
    "section",
    { class: "transcript", "aria-labelledby": "transcript-title" },
    h("div", { class: "row" }, h("h2", { id: "transcript-title" }, "Transcript"), count, find),
    list,
  );
}

/**
 * The line that is spoken at a time, or the one before a pause; -1 before the first.
 *
 * @param {Line[]} lines
 * @param {number} seconds
 */
function lineAt(lines, seconds) {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lines[middle]?.start ?? 0) <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Scrolls the list alone; the page stays where the reader has it.
 *
 * @param {HTMLElement} list
 * @param {HTMLElement} line
 */
function scrollInto(list, line) {
  const top = line.offsetTop - list.offsetTop;
  const isSeen = top >= list.scrollTop && top + line.offsetHeight <= list.scrollTop + list.clientHeight;
  if (isSeen) return;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  list.scrollTo({ top: top - list.clientHeight / 3, behavior });
}
