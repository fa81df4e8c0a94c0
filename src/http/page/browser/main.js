import { forgetKey, hasKey, onSignedOut, renewSession, signOut } from "./api.js";
import { byId, complain, fill, h } from "./dom.js";
import { startEvents, stopEvents } from "./events.js";
import { showJobView } from "./job-view.js";
import { showKeyView } from "./key-view.js";
import { createList } from "./list.js";
import { createNewJob } from "./new-job.js";

/** @typedef {import("./api.js").KeyInfo} KeyInfo */

const main = byId("main");
/** @type {KeyInfo | null} */
let key = null;
/** @type {() => void} */
let close = () => undefined;
/** @type {(() => void) | null} */
let focusSearch = null;

function show() {
  close();
  close = () => undefined;
  focusSearch = null;
  if (key === null) return;
  const mayOperate = key.scopes.includes("operate");
  const [, id] = /^#\/jobs\/([^/]+)$/u.exec(location.hash) ?? [];
  if (id === undefined) showHome(key, mayOperate);
  else close = showJobView(main, decodeURIComponent(id), { mayOperate });
  scrollTo(0, 0);
}

/**
 * @param {KeyInfo} info
 * @param {boolean} mayOperate
 */
function showHome({ scopes }, mayOperate) {
  document.title = "mirumoji";
  const list = createList({ mayOperate });
  close = () => list.close();
  ({ focusSearch } = list);
  const newJob = scopes.includes("submit")
    ? createNewJob({ onJob: list.add })
    : [h("p", { class: "card" }, "This key may look at jobs, not submit any.")];
  fill(main, h("h1", { class: "unseen" }, "Transcribe and convert"), newJob, list.element);
}

/** @param {KeyInfo} info */
function enter(info) {
  key = info;
  const leave = h("button", { type: "button", class: "quiet" }, "Sign out");
  leave.addEventListener("click", () => {
    void signOut();
    askForKey(false);
  });
  fill(
    byId("account"),
    h("span", { class: "muted key-name", title: "Name of your API key" }, info.name),
    leave,
  );
  const live = byId("live");
  live.hidden = false;
  startEvents((isLive) => {
    live.className = isLive ? "live on" : "live";
    live.textContent = isLive ? "Live" : "Reconnecting…";
  });
  show();
}

/** @param {boolean} isRefused */
function askForKey(isRefused) {
  key = null;
  forgetKey();
  stopEvents();
  close();
  close = () => undefined;
  fill(byId("account"));
  byId("live").hidden = true;
  showKeyView(main, { onKey: enter, isRefused });
}

addEventListener("hashchange", show);
// The address is the place on the page; the link must not change it.
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
  if (event.key !== "/" || isTyping || focusSearch === null) return;
  event.preventDefault();
  focusSearch();
});
// A film dropped beside the place for it would take the page's place.
for (const name of /** @type {const} */ (["dragover", "drop"])) {
  addEventListener(name, (event) => event.preventDefault());
}
onSignedOut(() => {
  if (key !== null) askForKey(true);
});

if (hasKey()) {
  renewSession().then(enter, (/** @type {unknown} */ error) => {
    const isRefused = error instanceof Error && "status" in error && error.status === 401;
    askForKey(isRefused);
    if (!isRefused) complain(error);
  });
} else askForKey(false);
