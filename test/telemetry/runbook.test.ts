import { fastify } from "fastify";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { addDocs } from "../../src/http/docs.ts";
import { root } from "../helpers/repo/sandbox.ts";

it("is served where alerts and dashboards link to", async () => {
  const server = fastify();
  addDocs(server);
  const alerts = readFileSync(`${root}/prometheus/alerts.yml`, "utf8");
  const links = [...alerts.matchAll(/runbook_url: (\S+)#(\w+)/gu)];
  expect(links.length).toBeGreaterThan(8);
  for (const [, path = "", id = ""] of links) {
    const page = await server.inject(path);
    expect(page.statusCode).toBe(200);
    expect(page.headers["content-type"]).toContain("text/html");
    expect(page.body).toContain(`<h3 id="${id}">`);
  }
  for (const path of ["/docs/nobody", "/docs/..%2Fpackage", "/docs/constructor"]) {
    expect((await server.inject(path)).statusCode).toBe(404);
  }
  await server.close();
});
