import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { scriptText } from "../../src/queue/scripts.ts";

it.each([
  "commit",
  "settle",
  "cancel",
  "retry",
  "claim-deliveries",
  "renew-claim",
  "settle-delivery",
  "replay-delivery",
  "release-tenant",
  "end-turn",
] as const)("%s uses every key and value that it is given, and knows no other", (name) => {
  const file = readFileSync(new URL(`../../src/queue/${name}.lua`, import.meta.url), "utf8");
  const code = file.replaceAll(/--.*/gu, "");
  const head = scriptText(name).slice(0, -file.length);
  const given = [...head.matchAll(/^local (.*) = (?:KEYS|ARGV)/gmu)].flatMap(([, names = ""]) =>
    names.split(", "),
  );
  expect(given).not.toEqual([]);
  expect(given.filter((word) => !new RegExp(`\\b${word}\\b`, "u").test(code))).toEqual([]);
  expect([...code.matchAll(/\b\w+Key\b/gu)].map(String).filter((key) => !given.includes(key))).toEqual([]);
  expect(code).not.toMatch(/KEYS|ARGV/u);
});
