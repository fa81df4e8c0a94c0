import { ApiError, signIn } from "./api.js";
import { fill, h } from "./dom.js";

/** @typedef {import("./api.js").KeyInfo} KeyInfo */

/**
 * Asks for the API key.
 *
 * @param {HTMLElement} main
 * @param {{ onKey: (info: KeyInfo) => void, isRefused: boolean }} options
 */
export function showKeyView(main, { onKey, isRefused }) {
  document.title = "Sign in · mirumoji";
  const trouble = h("p", { class: "trouble", id: "key-trouble", role: "alert" });
  const input = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    placeholder: "mk_…",
    "aria-describedby": "key-help key-trouble",
  });
  const button = h("button", { type: "submit" }, "Open");
  const submit = async () => {
    const key = input.value.trim();
    if (key === "") {
      trouble.textContent = "Paste your API key here first.";
      input.focus();
      return;
    }
    button.disabled = true;
    trouble.textContent = "";
    try {
      onKey(await signIn(key));
    } catch (error) {
      trouble.textContent = troubleOf(error);
      input.setAttribute("aria-invalid", "true");
      input.select();
    } finally {
      button.disabled = false;
    }
  };
  if (isRefused) trouble.textContent = "The API key is not valid any more. Enter another one.";
  const form = h(
    "form",
    {
      class: "card narrow",
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void submit();
      },
    },
    h("h1", {}, "Your API key"),
    h(
      "p",
      { id: "key-help" },
      h("code", {}, "mirumoji-worker dev"),
      " prints one when it starts; operators make one with ",
      h("code", {}, "mirumoji-worker keys create --name you"),
      ". It stays in this tab, and is forgotten when you close it.",
    ),
    h("label", { for: "key" }, "API key"),
    h("div", { class: "row" }, input, button),
    trouble,
  );
  fill(main, form);
  input.focus();
}

/** @param {unknown} error */
function troubleOf(error) {
  if (!(error instanceof ApiError)) return String(error);
  if (error.status === 401)
    return "This key is unknown or revoked. Copy the whole of it, from mk_ to the end.";
  if (error.code === "SCOPE_MISSING") return "This key may not read jobs. Ask for one with the scope “read”.";
  return error.message;
}
