import { h } from "./dom.js";

/** Choices of the last time, so that a series of films needs no choosing. */
const REMEMBERED = "mirumoji-options";
const LANGUAGES = [
  "ja",
  "en",
  "zh",
  "ko",
  "de",
  "fr",
  "es",
  "it",
  "pt",
  "ru",
  "ar",
  "hi",
  "id",
  "nl",
  "pl",
  "sv",
  "th",
  "tr",
  "uk",
  "vi",
];
/** Written with each job, so that every other format can be made from them later. */
const FORMATS = ["srt", "vtt", "json"];

/** @typedef {{ type: "transcribe" | "convert", request: Record<string, unknown> }} Wish */

/**
 * The choice of what is to be done with a film, and the few options that matter.
 *
 * @returns {{ element: HTMLElement, wish: () => Wish, onChange: (action: () => void) => void }}
 */
export function createOptions() {
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const languages = LANGUAGES.map((code) => /** @type {const} */ ([code, names.of(code) ?? code]));
  const language = select("language", [["auto", "Find out"], ...languages]);
  const task = select("task", [
    ["transcribe", "As it is spoken"],
    ["translate", "Translated into English"],
  ]);
  const clean = check("clean_audio", "Clean up noisy sound first");
  const resolution = select("resolution", [
    ["1920x1080", "Up to 1080p"],
    ["1280x720", "Up to 720p"],
    ["854x480", "Up to 480p"],
  ]);
  const preset = select("preset", [
    ["performance", "Fast"],
    ["balanced", "Balanced"],
    ["quality", "Best picture"],
  ]);
  const codec = select("codec", [
    ["h264", "H.264, plays everywhere"],
    ["hevc", "HEVC, smaller"],
    ["av1", "AV1, smallest"],
  ]);
  const copy = check("copy", "Only repack what fits already");
  resolution.value = "1280x720";
  preset.value = "balanced";

  const transcribe = h(
    "div",
    { class: "fields" },
    field("Spoken language", language),
    field("Text", task),
    clean.label,
  );
  const convert = h(
    "div",
    { class: "fields" },
    field("Size", resolution),
    field("Speed", preset),
    field("Codec", codec),
    copy.label,
  );
  const radios = [
    radio("transcribe", "Transcribe", "Subtitles and text"),
    radio("convert", "Convert", "MP4 for every player"),
  ];
  const element = h(
    "fieldset",
    { class: "options" },
    h("legend", {}, "What shall be done?"),
    h(
      "div",
      { class: "segments" },
      radios.map(({ label }) => label),
    ),
    transcribe,
    convert,
  );
  const type = () => (radios[1]?.input.checked ? "convert" : "transcribe");
  const controls = { language, task, resolution, preset, codec };
  const checks = { clean_audio: clean.input, copy: copy.input };
  recall();
  const show = () => {
    transcribe.hidden = type() !== "transcribe";
    convert.hidden = type() !== "convert";
  };
  show();
  /** @type {(() => void)[]} */
  const actions = [];
  element.addEventListener("change", () => {
    show();
    remember();
    for (const action of actions) action();
  });

  function remember() {
    const values = Object.entries(controls).map(([name, { value }]) => [name, value]);
    const ticks = Object.entries(checks).map(([name, { checked }]) => [name, checked]);
    localStorage.setItem(
      REMEMBERED,
      JSON.stringify(Object.fromEntries([["type", type()], ...values, ...ticks])),
    );
  }

  function recall() {
    /** @type {Record<string, unknown>} */
    let known = {};
    try {
      known = JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}");
    } catch {
      // Somebody else's value; the defaults do.
    }
    for (const { input } of radios) input.checked = input.value === (known["type"] ?? "transcribe");
    for (const [name, control] of Object.entries(controls)) {
      if ([...control.options].some(({ value }) => value === known[name]))
        control.value = String(known[name]);
    }
    for (const [name, control] of Object.entries(checks)) control.checked = known[name] === true;
  }

  return {
    element,
    onChange: (action) => actions.push(action),
    wish() {
      if (type() === "convert") {
        return {
          type: "convert",
          request: {
            resolution: resolution.value,
            preset: preset.value,
            codec: codec.value,
            ...(copy.input.checked ? { copy: true } : {}),
          },
        };
      }
      return {
        type: "transcribe",
        request: {
          formats: FORMATS,
          language: language.value,
          ...(task.value === "translate" ? { task: "translate" } : {}),
          ...(clean.input.checked ? { clean_audio: true } : {}),
        },
      };
    },
  };
}

/**
 * @param {string} name
 * @param {(readonly [value: string, text: string])[]} choices
 */
function select(name, choices) {
  return h(
    "select",
    { id: `option-${name}`, name },
    choices.map(([value, text]) => h("option", { value }, text)),
  );
}

/**
 * @param {string} text
 * @param {HTMLSelectElement} control
 */
function field(text, control) {
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control);
}

/**
 * @param {string} name
 * @param {string} text
 */
function check(name, text) {
  const input = h("input", { type: "checkbox", name });
  return { input, label: h("label", { class: "check" }, input, text) };
}

/**
 * @param {string} value
 * @param {string} text
 * @param {string} hint
 */
function radio(value, text, hint) {
  const input = h("input", { type: "radio", name: "type", value });
  return {
    input,
    label: h("label", { class: "segment" }, input, h("span", {}, h("b", {}, text), h("small", {}, hint))),
  };
}
