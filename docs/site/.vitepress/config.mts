import { defineConfig } from "vitepress";

/** The first word of code that a shell would run. */
const COMMAND =
  /^(?:[A-Z_]+=|#|\.|(?:npm|npx|mirumoji-worker|docker|curl|export|redis-cli|helm|kubectl|cp)\b)/u;

/** Pages keep their places of the repository, so that their links hold in both. */
export default defineConfig({
  title: "mirumoji-worker",
  description: "Media files in, subtitles or MP4 files out: durable GPU jobs on Redis and Modal.",
  srcDir: "pages",
  outDir: "dist",
  rewrites: { "README.md": "index.md" },
  ignoreDeadLinks: [/(?:^|\/)(?:examples|schema|LICENSE)\b/u],
  markdown: {
    // Pages indent their code; it is shown as the fenced kind, which scrolls and can be copied.
    config: (md) => {
      md.core.ruler.push("fences", ({ tokens }) => {
        for (const token of tokens) {
          if (token.type !== "code_block") continue;
          const isCommand = COMMAND.test(token.content);
          Object.assign(token, { type: "fence", tag: "code", info: isCommand ? "sh" : "txt" });
        }
      });
    },
  },
  cleanUrls: false,
  lastUpdated: false,
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Quick start", link: "/docs/quick-start" },
      { text: "HTTP API", link: "/docs/api" },
      { text: "Operations", link: "/docs/operations" },
      { text: "Changes", link: "/CHANGELOG" },
    ],
    sidebar: [
      {
        text: "Begin",
        items: [
          { text: "What it is", link: "/" },
          { text: "Quick start", link: "/docs/quick-start" },
          { text: "Concepts", link: "/docs/architecture" },
          { text: "Life of a job", link: "/docs/lifecycle" },
          { text: "Questions", link: "/docs/faq" },
        ],
      },
      {
        text: "Produce",
        items: [
          { text: "HTTP API and SDKs", link: "/docs/api" },
          { text: "The page for people", link: "/docs/page" },
          { text: "Inputs and outputs elsewhere", link: "/docs/inputs" },
          { text: "Subtitles", link: "/docs/subtitles" },
          { text: "Media files", link: "/docs/media" },
          { text: "Errors", link: "/docs/errors" },
        ],
      },
      {
        text: "Run",
        items: [
          { text: "First hour on Modal", link: "/docs/first-hour" },
          { text: "A GPU of your own", link: "/docs/self-hosting" },
          { text: "Kubernetes", link: "/docs/kubernetes" },
          { text: "Machines", link: "/docs/machines" },
          { text: "Configuration", link: "/docs/configuration" },
          { text: "Sizing", link: "/docs/sizing" },
        ],
      },
      {
        text: "Operate",
        items: [
          { text: "Runbook", link: "/docs/operations" },
          { text: "Observability", link: "/docs/observability" },
          { text: "Upgrade and backup", link: "/docs/upgrade" },
          { text: "Security", link: "/docs/security" },
        ],
      },
      {
        text: "Evidence",
        items: [
          { text: "Durability", link: "/docs/durability" },
          { text: "Conformance", link: "/docs/conformance" },
          { text: "Benchmarks", link: "/docs/benchmarks" },
        ],
      },
      { text: "Contribute", items: [{ text: "Contributing", link: "/CONTRIBUTING" }] },
    ],
  },
});
