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
  it("have a row for each case, each group and each kind, with sums and ranges", () => {
    const { inBrief, inGroups, inFull } = crashTables(
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
    expect(inBrief.split("\n").slice(2)).toEqual([
      "| workers killed (SIGKILL) | 3 | 6 | 6 | 6 | 0 | 2 | 2.5 to 4 |",
      "| requests that fail, hang or lose their answer | 2 | 4 | 3 | 4 | 0 | 0 |  |",
      "| frozen workers, vanished volumes, calls and apps, full disks | 1 | 2 | 2 | 2 | 0 | 0 | 0 |",
    ]);
    expect(inFull.split("\n")).toHaveLength(2 + 6);
  });

  it("replace the last ones of the same name, and nothing else", () => {
    const other = "<!-- crash table: inBrief -->\nkept\n<!-- end of crash table -->\n";
    const page = `${other}<!-- crash table: inFull -->\nold\n<!-- end of crash table -->\nafter\n`;
    const filled = fillIn(page, "inFull", "new");
    expect(filled).toBe(
      `${other}<!-- crash table: inFull -->\n\nnew\n\n<!-- end of crash table -->\nafter\n`,
    );
    expect(fillIn(filled, "inFull", "new")).toBe(filled);
    expect(() => fillIn("no place", "inFull", "new")).toThrow(/no <!-- crash table: inFull -->/u);
  });
});
