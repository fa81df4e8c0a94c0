import type { FastifyInstance } from "fastify";
import { readFile } from "node:fs/promises";
import { Html, html } from "./html.ts";
import { STYLE } from "./style.ts";

/** Its own style and nothing else. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
const PAGES = ["operations", "api", "errors", "configuration", "lifecycle", "architecture"];

/**
 * Serves the pages of `docs/`, with an anchor for each heading: alerts and dashboards link to the runbook of
 * the running version.
 */
export function addDocs(server: FastifyInstance): void {
  server.get<{ Params: { page: string } }>("/docs/:page", async (request, reply) => {
    const name = request.params.page.replace(/\.md$/u, "");
    const text = PAGES.includes(name) ? await readPage(name) : null;
    if (text === null) return await reply.code(404).type("text/plain").send("there is no such page here\n");
    const page = html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <title>${name}</title>
          <style>
            ${new Html(STYLE)} pre {
              white-space: pre-wrap;
            }
            h1,
            h2,
            h3 {
              scroll-margin-top: 1em;
            }
          </style>
        </head>
        <body>
          <main>${text.split(/^(?=#{1,3} )/mu).map(section)}</main>
        </body>
      </html>`;
    return await reply
      .type("text/html; charset=utf-8")
      .header("content-security-policy", POLICY)
      .send(page.text);
  });
}

async function readPage(name: string): Promise<string | null> {
  return await readFile(new URL(`../../docs/${name}.md`, import.meta.url), "utf8").catch(() => null);
}

function section(text: string): Html {
  const [, marks = "", title = ""] = /^(#{1,3}) (.*)$/mu.exec(text) ?? [];
  if (marks === "") return html`<pre>${text}</pre>`;
  const level = new Html(`h${marks.length}`);
  const body = text.slice(text.indexOf("\n") + 1).trim();
  return html`<${level} id="${anchor(title)}">${title}</${level}><pre>${body}</pre>`;
}

/** Builds an anchor as GitHub does: lower case, dashes for blanks, only letters and digits. */
function anchor(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} -]/gu, "")
    .replaceAll(" ", "-");
}
