import { announce, complain, fill, h, setText } from "./dom.js";
import { createOptions } from "./options.js";
import { createUpload, submit } from "./upload.js";
import { bytes, duration, fileName } from "./words.js";

/** @typedef {import("../../../job/summary.ts").JobView} JobView */

/** Uploads go on while the reader looks at other parts of the page. */
const uploads = h("ul", { class: "uploads", "aria-label": "Uploads" });
let underway = 0;

addEventListener("beforeunload", (event) => {
  if (underway > 0) event.preventDefault();
});

/**
 * The place where files are dropped, and the choice of what is done with them.
 *
 * @param {{ onJob: (job: JobView) => void }} options
 */
export function createNewJob({ onJob }) {
  const options = createOptions();
  /** @type {File[]} */
  let files = [];
  const picker = h("input", {
    type: "file",
    id: "files",
    class: "unseen",
    multiple: true,
    accept: "video/*,audio/*,.mkv,.ts,.m2ts",
  });
  const chosen = h("ul", { class: "chosen", "aria-label": "Chosen files" });
  const start = h("button", { type: "submit", class: "large" });
  const link = h("input", {
    type: "url",
    id: "link",
    placeholder: "https://…",
    autocomplete: "off",
    inputmode: "url",
  });
  const zone = h(
    "div",
    { class: "drop" },
    picker,
    h(
      "label",
      { for: "files" },
      h("b", {}, "Drop films or sound here"),
      h("span", {}, "or ", h("u", {}, "choose files"), "; an upload that breaks off goes on later"),
    ),
    h("div", { class: "link" }, h("label", { for: "link" }, "or paste a link to a media file"), link),
  );
  const show = () => {
    const { type } = options.wish();
    const verb = type === "convert" ? "Convert" : "Transcribe";
    const count = files.length + (link.value.trim() === "" ? 0 : 1);
    setText(
      start,
      count > 1
        ? `${verb} ${count} files`
        : `${verb}${count === 0 ? "" : files[0] === undefined ? " the link" : ` ${shortened(files[0].name)}`}`,
    );
    start.disabled = count === 0;
    fill(
      chosen,
      files.map((file) =>
        h(
          "li",
          {},
          h("span", { class: "name" }, file.name),
          h("span", { class: "muted" }, bytes(file.size)),
          h(
            "button",
            {
              type: "button",
              class: "plain",
              "aria-label": `Leave out ${file.name}`,
              onclick: () => leaveOut(file),
            },
            "✕",
          ),
        ),
      ),
    );
    chosen.hidden = files.length === 0;
  };
  /** @param {Iterable<File>} more */
  const add = (more) => {
    const isKnown = (/** @type {File} */ file) =>
      files.some(({ name, size }) => name === file.name && size === file.size);
    files = [...files, ...[...more].filter((file) => !isKnown(file))];
    show();
    if (files.length > 0) start.focus();
  };
  /** @param {File} file */
  const leaveOut = (file) => {
    files = files.filter((other) => other !== file);
    show();
    picker.focus();
  };
  picker.addEventListener("change", () => {
    add(picker.files ?? []);
    picker.value = "";
  });
  link.addEventListener("input", show);
  options.onChange(show);
  acceptDrops(zone, add);
  const form = h(
    "form",
    {
      class: "card new",
      "aria-label": "New job",
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        const wish = options.wish();
        for (const file of files) startUpload(file, wish, onJob);
        const url = link.value.trim();
        if (url !== "") submit(wish, url, crypto.randomUUID()).then(onJob).catch(complain);
        files = [];
        link.value = "";
        show();
        picker.focus();
      },
    },
    zone,
    h("div", { class: "wishes" }, chosen, options.element, start),
  );
  show();
  return [form, uploads];
}

/**
 * @param {HTMLElement} zone
 * @param {(files: Iterable<File>) => void} onFiles
 */
function acceptDrops(zone, onFiles) {
  let depth = 0;
  const mark = () => zone.classList.toggle("over", depth > 0);
  zone.addEventListener("dragenter", () => {
    depth++;
    mark();
  });
  zone.addEventListener("dragleave", () => {
    depth--;
    mark();
  });
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    mark();
    onFiles(event.dataTransfer?.files ?? []);
  });
}

/**
 * @param {File} file
 * @param {import("./options.js").Wish} wish
 * @param {(job: JobView) => void} onJob
 */
function startUpload(file, wish, onJob) {
  const idempotencyKey = crypto.randomUUID();
  const bar = h("progress", { max: file.size || 1, value: 0, "aria-label": `Upload of ${file.name}` });
  const state = h("span", { class: "muted" }, "Starting");
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const pause = h("button", { type: "button", class: "quiet" }, "Pause");
  const cancel = h("button", { type: "button", class: "quiet" }, "Cancel");
  const row = h(
    "li",
    { class: "card upload" },
    h("div", { class: "row" }, h("b", { class: "name" }, file.name), pause, cancel),
    bar,
    state,
    trouble,
  );
  let isRunning = false;
  let isResumed = false;
  /** @type {string | null} */
  let arrived = null;
  /** @param {boolean} runs */
  const setRunning = (runs) => {
    if (runs !== isRunning) underway += runs ? 1 : -1;
    isRunning = runs;
    setText(pause, runs ? "Pause" : trouble.hidden ? "Go on" : "Try again");
    if (runs) trouble.hidden = true;
  };
  /** @param {Error} error */
  const fail = (error) => {
    trouble.textContent = error.message;
    trouble.hidden = false;
    setText(state, "Stopped");
    setRunning(false);
  };
  const finish = async () => {
    setText(state, "Arrived; the job is being submitted");
    try {
      const job = await submit(wish, arrived ?? "", idempotencyKey);
      setRunning(false);
      row.remove();
      announce(`${file.name} has arrived`);
      onJob(job);
    } catch (error) {
      fail(/** @type {Error} */ (error));
    }
  };
  const upload = createUpload(file, {
    onResumed: () => {
      isResumed = true;
      setText(state, "Looking where it stopped");
    },
    onProgress: ({ doneBytes, totalBytes, bytesPerSecond }) => {
      if (!isRunning) return;
      bar.max = totalBytes || 1;
      bar.value = doneBytes;
      const parts = [`${bytes(doneBytes)} of ${bytes(totalBytes)}`];
      if (bytesPerSecond > 0) {
        const left = (totalBytes - doneBytes) / bytesPerSecond;
        parts.push(`${bytes(bytesPerSecond)}/s`, ...(left >= 1 ? [`about ${duration(left)} left`] : []));
      }
      if (isResumed) parts.push("went on where it stopped");
      setText(state, parts.join(" · "));
    },
    onDone: (input) => {
      arrived = input;
      void finish();
    },
    onError: fail,
  });
  pause.addEventListener("click", () => {
    if (isRunning) {
      upload.pause().catch(complain);
      setRunning(false);
      setText(state, "Paused");
      return;
    }
    setRunning(true);
    if (arrived === null) upload.start().catch(fail);
    else void finish();
  });
  cancel.addEventListener("click", () => {
    upload.cancel().catch(() => null);
    setRunning(false);
    row.remove();
  });
  uploads.append(row);
  setRunning(true);
  upload.start().catch(fail);
}

/** @param {string} name */
function shortened(name) {
  const text = fileName(name);
  return text.length > 28 ? `${text.slice(0, 18)}…${text.slice(-8)}` : text;
}
