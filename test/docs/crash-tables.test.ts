import { describe, expect, it } from "vitest";
import { crashTables, fillIn } from "../../scripts/generate/crash-tables.ts";

const row = (name: string, changes: object = {}) => ({
  case: name,
  runs: 2,
  completed: 2,
  callsStarted: 2,
  volumesLeft: 0,
  volumesExpiring: 0,
  recoverySeconds: null,
  ...changes,
});

describe("the tables of the crash suite", () => {
  it("have a row for each case, and one for each group with its sums and its range", () => {
    const { inGroups, inFull } = crashTables(
      JSON.stringify([
        row("kill at put:before", { recoverySeconds: 2.5 }),
        row("kill at put:after", { recoverySeconds: 4, volumesExpiring: 2 }),
        row("kill at put:after of an undo"),
        row("VolumeDelete done, answer lost", { completed: 1 }),
        row("FunctionMap done, answer lost"),
        row("two reapers at once", { recoverySeconds: 0 }),
      ]),
    );
    expect(inGroups.split("\n").slice(2)).toEqual([
      "| worker killed while undoing a cancelled job | 1 | 2 | 2 | 2 | 0 | 0 |  |",
      "| worker killed around uploading | 2 | 4 | 4 | 4 | 0 | 2 | 2.5 to 4 |",
      "| every RPC: done, answer lost | 2 | 4 | 3 | 4 | 0 | 0 |  |",
      "| two reapers at once | 1 | 2 | 2 | 2 | 0 | 0 | 0 |",
    ]);
    expect(inFull.split("\n")).toHaveLength(2 + 6);
  });

  it("take the place of the last ones, and of nothing else", () => {
    const page = "before\n<!-- crash table -->\nold\n<!-- end of crash table -->\nafter\n";
    const filled = fillIn(page, "new");
    expect(filled).toBe("before\n<!-- crash table -->\n\nnew\n\n<!-- end of crash table -->\nafter\n");
    expect(fillIn(filled, "new")).toBe(filled);
    expect(() => fillIn("no place", "new")).toThrow(/no <!-- crash table -->/u);
  });
});
