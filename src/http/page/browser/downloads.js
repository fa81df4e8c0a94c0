import { pageUrl } from "./api.js";
import { h } from "./dom.js";
import { bytes, fileName } from "./words.js";

/** @typedef {import("../../../job/summary.ts").JobView} JobView */

/** @type {[format: string, extension: string, use: string][]} */
const FORMATS = [
  ["srt", "srt", "subtitles for nearly every player"],
  ["vtt", "vtt", "subtitles for web pages"],
  ["ass", "ass", "subtitles with a style"],
  ["txt", "txt", "plain text"],
  ["lrc", "lrc", "lyrics for music players"],
  ["tsv", "tsv", "times and text for a spreadsheet"],
  ["json", "json", "times and text for programs"],
];

/**
 * Files to take away: what the job made, and the transcript in every format.
 *
 * @param {JobView} job
 */
export function createDownloads(job) {
  const base = `media/${encodeURIComponent(job.id)}`;
  const stem = fileName(job.input ?? job.id).replace(/\.[^.]*$/u, "");
  const items =
    job.type === "transcribe"
      ? FORMATS.map(([format, extension, use]) =>
          item(pageUrl(`${base}/transcript?format=${format}`), `${stem}.${extension}`, {
            label: extension.toUpperCase(),
            hint: use,
          }),
        )
      : job.outputs.map(({ path, bytes: size }, index) =>
          item(pageUrl(`${base}/outputs/${index}`), fileName(path), {
            label: fileName(path),
            hint: bytes(size),
          }),
        );
  return h(
    "section",
    { class: "card", "aria-labelledby": "downloads-title" },
    h("h2", { id: "downloads-title" }, "Download"),
    h("ul", { class: "downloads" }, items),
  );
}

/**
 * @param {string} href
 * @param {string} name
 * @param {{ label: string, hint: string }} words
 */
function item(href, name, { label, hint }) {
  return h(
    "li",
    {},
    h("a", { href, download: name }, h("b", {}, label), h("span", { class: "muted" }, hint)),
  );
}
