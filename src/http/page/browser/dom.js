/** Makes elements out of data; text stays text, so that no name of a file can become a tag. */

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: never) => void)>} Attributes Names that begin with `on` are listeners; `false` and `null` leave one out.
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {(Child | Child[])[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function")
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...nodes(children));
  return element;
}

/** @param {(Child | Child[])[]} children */
function nodes(children) {
  return children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * Puts other children into an element.
 *
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/**
 * Sets a text only when it is another one, so that screen readers and selections are left alone.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * The element of the page with this ID.
 *
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * Tells screen readers.
 *
 * @param {string} text
 */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** How long a message of trouble stays. */
const TOAST_MS = 12_000;

/**
 * Shows trouble that belongs to no place on the page.
 *
 * @param {unknown} error
 */
export function complain(error) {
  const text = error instanceof Error ? error.message : String(error);
  const toast = h("div", { class: "toast" }, h("p", {}, text));
  const close = h(
    "button",
    { class: "plain", "aria-label": "Close this message", onclick: () => toast.remove() },
    "✕",
  );
  toast.append(close);
  byId("toasts").append(toast);
  setTimeout(() => toast.remove(), TOAST_MS);
}

/**
 * A button that does something that takes time, and shows trouble with it.
 *
 * @param {string} text
 * @param {() => Promise<unknown>} action
 * @param {Attributes} [attributes]
 */
export function actionButton(text, action, attributes = {}) {
  const button = h("button", { type: "button", ...attributes }, text);
  button.addEventListener("click", () => {
    button.disabled = true;
    action()
      .catch(complain)
      .finally(() => {
        button.disabled = false;
      });
  });
  return button;
}
