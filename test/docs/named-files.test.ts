import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../helpers/repo/sandbox.ts";

const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)];
const NAMED = /\b(?:src|test|bench|scripts|container|examples)\/[\w./-]+\.(?:ts|mjs|js|py|lua)\b/gu;

it.each(pages.filter((page) => page.endsWith(".md")))(
  "%s names no file of ours that is not there",
  (page) => {
    const named = readFileSync(join(root, page), "utf8").match(NAMED) ?? [];
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  },
);
