import { describe, expect, it } from "vitest";
import { riddles } from "../helpers/repo/comments.ts";
import { readSources } from "../helpers/repo/sandbox.ts";

describe("comments", () => {
  it("begin with a noun or a verb", () => {
    const folders = ["src", "test", "support", "scripts", "bench", "container", "examples"];
    expect(riddles(readSources(folders, [".ts", ".js", ".mjs", ".py", ".lua"]))).toEqual([]);
  });

  it("are found in every form", () => {
    const script = [
      "/** What it holds. */",
      "/**",
      " * Whoever asks.",
      " */",
      'const text = "// What is no comment";',
      "// A long line that goes on with",
      "// what belongs to it, and",
      "// That is no beginning.",
      "const end = 1; // Whatever follows",
      "/** Whatsoever and Whole words count. */",
    ].join("\n");
    const python = ['"""What it does."""', "value = 1  # That one", "# Plain", "# Who goes on"].join("\n");
    expect(
      riddles({ "a.ts": script, "b.py": python, "c.lua": "-- What it locks\nreturn 1 -- fine" }),
    ).toEqual([
      "a.ts:1: What it holds.",
      "a.ts:2: Whoever asks.",
      "a.ts:9: Whatever follows",
      'b.py:1: What it does."""',
      "b.py:2: That one",
      "c.lua:1: What it locks",
    ]);
  });
});
