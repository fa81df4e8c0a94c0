import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { beforeAll, describe, expect, it } from "vitest";
import { root } from "../helpers/repo/sandbox.ts";

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`),
]
  .filter((page) => page.endsWith(".md"))
  .map((page) => [page, readFileSync(join(root, page), "utf8")] as const);

const program = new Command("mirumoji-worker").option("--version").option("--help");
beforeAll(async () => {
  for (const name of readdirSync(join(root, "src/cli"))) {
    const found = (await import(join(root, "src/cli", name))) as Record<string, unknown>;
    for (const [key, add] of Object.entries(found)) {
      // A command's file exports one such function; parts of a command take the command and more.
      if (/^add[A-Z]/u.test(key) && typeof add === "function" && add.length === 1) add(program);
    }
  }
});

/** Our commands in code, as words; a pipe, a redirection, a comment or another command ends one. */
function commandsIn(text: string): string[][] {
  const code = [...text.matchAll(/^(?: {4}|\$ )(.+)$|`([^`\n]+)`/gmu)].map(
    ([, block, span]) => block ?? span ?? "",
  );
  const fences = [...text.matchAll(/^```[^\n]*\n([^]*?)^```/gmu)].flatMap(([, lines = ""]) =>
    lines.split("\n"),
  );
  return [...code, ...fences].flatMap((line) => {
    const [, words] = /^(?:\w+=\S+ )*(?:npx )?(?:mirumoji-worker|npx \.) (.+)$/u.exec(line.trim()) ?? [];
    const [own = ""] = (words ?? "").split(/ [|>#&;] ?| >|…/u);
    return words === undefined ? [] : [own.trim().split(/\s+/u)];
  });
}

/** Problem with a command, or null. */
function problemWith(words: readonly string[]): string | null {
  let command = program;
  let args = 0;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (word.startsWith("--")) {
      const [long] = word.split("=");
      const option = [...command.options, ...program.options].find((known) => known.long === long);
      if (option === undefined && long !== "--help") return `${command.name()} has no ${long}`;
      const takesNext = option !== undefined && (option.required || option.optional) && !word.includes("=");
      if (takesNext && option.required) at += 1;
    } else if (args === 0 && command.commands.length > 0) {
      // `ls|get` stands for both.
      const names = word.split("|");
      const next = names.map((name) => command.commands.find((known) => known.name() === name));
      const [first] = next;
      if (first === undefined || next.includes(undefined)) return `${command.name()} has no command ${word}`;
      command = first;
    } else if (!word.startsWith("[") && word !== "...") {
      args += 1;
    }
  }
  const { registeredArguments } = command;
  const isVariadic = registeredArguments.some(({ variadic }) => variadic);
  if (args > registeredArguments.length && !isVariadic) return `${command.name()} takes no ${args} arguments`;
  return null;
}

describe("commands in the documentation", () => {
  it("are found by this test, which would report a wrong one", () => {
    expect(commandsIn("    mirumoji-worker list --json > jobs.json\n")).toEqual([["list", "--json"]]);
    expect(problemWith(["submit", "transcribe", "film.mkv", "--wait"])).toBeNull();
    expect(problemWith(["submitt", "transcribe"])).toContain("no command");
    expect(problemWith(["submit", "--wiat"])).toContain("--wiat");
    expect(problemWith(["status", "one", "two"])).toContain("2 arguments");
    expect(pages.flatMap(([, text]) => commandsIn(text)).length).toBeGreaterThan(25);
  });

  it.each(pages)("are commands of ours: %s", (_page, text) => {
    const problems = commandsIn(text).map((words) => [words.join(" "), problemWith(words)]);
    expect(problems.filter(([, problem]) => problem !== null)).toEqual([]);
  });

  it.each(pages)("of npm are scripts and benchmarks that exist: %s", (_page, text) => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const named = [...text.matchAll(/npm run ([\w:]+)(?: -- (\w[\w-]*))?/gu)];
    const benchmarks = readFileSync(join(root, "bench/run.ts"), "utf8");
    for (const [whole, script = "", benchmark] of named) {
      expect(Object.keys(scripts), whole).toContain(script);
      if (script === "bench" && benchmark !== undefined)
        expect(benchmarks, whole).toMatch(new RegExp(`^ {2}"?${benchmark}"?: `, "mu"));
    }
  });
});
