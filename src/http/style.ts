/** Styles of the job page; no script and no external resource. */
export const STYLE = `
:root { color-scheme: light dark; --line: #d8dce3; --muted: #667085; --back: #f6f7f9; --card: #fff; --text: #1d2433;
  --good: #15803d; --bad: #b91c1c; --now: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --line: #333a48; --muted: #98a2b3; --back: #12151c; --card: #1a1f29;
  --text: #e6e9ef; --good: #4ade80; --bad: #f87171; --now: #60a5fa; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
nav a { margin-right: 1rem; }
a { color: var(--now); }
h1 { font-size: 1.5rem; margin: 1rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
header p { margin: .25rem 0 1rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0; }
.muted { color: var(--muted); }
.status { font-size: .85rem; font-weight: 600; padding: .15rem .6rem; border-radius: 1rem; vertical-align: middle;
  border: 1px solid currentColor; color: var(--now); }
.status.completed { color: var(--good); }
.status.failed { color: var(--bad); }
.status.cancelled, .status.queued { color: var(--muted); }
.error { border-color: var(--bad); }
.error strong { color: var(--bad); }
.error.cancelled { border-color: var(--line); }
.error.cancelled strong { color: var(--muted); }
.error p { margin: .25rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
progress { width: 100%; margin-bottom: .75rem; }
.states { list-style: none; display: flex; flex-wrap: wrap; gap: .5rem; margin: 0; padding: 0; }
.states li { flex: 1 1 8rem; border: 1px solid var(--line); border-top: 4px solid var(--line); border-radius: 6px;
  padding: .4rem .6rem; }
.states li b { display: block; }
.states li span { color: var(--muted); font-size: .85rem; }
.states .done { border-top-color: var(--good); }
.states .broken { border-top-color: var(--bad); }
.states .now { border-top-color: var(--now); }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--muted); white-space: nowrap; }
.facts th { width: 11rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.number + td, .number + th { padding-left: 1.5rem; }
.timeline td:first-child { width: 6rem; }
.timeline td { border-top: 1px solid var(--line); }
button { font: inherit; padding: .4rem 1rem; border-radius: 6px; border: 1px solid var(--line); cursor: pointer;
  background: var(--now); color: var(--card); }
button.cancel { background: var(--bad); }
`;
