import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeCheckpoint, encodeCheckpoint, firstCheckpoint, moved } from "../../src/job/checkpoint.ts";
import { MirumojiError } from "../../src/job/errors.ts";
import { newerRequest, parseRequest } from "../../src/job/parse-request.ts";
import { repaired, soundFields } from "../../src/queue/job-fields.ts";
import { viewOf } from "../../src/queue/job-view.ts";
import { readJson } from "../../src/queue/unreadable.ts";
import { parseProgressLine } from "../../src/runner/call-follower.ts";
import { watchStalls } from "../helpers/gpu-host/stalls.ts";

const INPUTS = process.env["CRASH_LONG"] === "1" ? 10_000 : 2500;

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.json(),
  fc.anything().map((value) => JSON.stringify(value, plain) ?? ""),
  fc.constantFrom("[".repeat(20_000), '{"v":1e999}', '{"__proto__":{"v":1}}', "\u2028", "-0", "1e400", ""),
);

function plain(_name: string, value: unknown): unknown {
  return typeof value === "bigint" || typeof value === "symbol" ? String(value) : value;
}

/** Runs a check for many inputs, a turn of the event loop each, and holds it to the limit of a stall. */
async function endures<T>(inputs: fc.Arbitrary<T>, check: (input: T) => void): Promise<void> {
  const stalls = watchStalls();
  const property = fc.asyncProperty(inputs, async (input) => {
    await Promise.resolve();
    check(input);
  });
  await fc.assert(property, { numRuns: INPUTS, seed: 1864 });
  expect(stalls()).toEqual([]);
}

/** Lets the errors pass that blame the record. */
function orRefused(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof MirumojiError)) throw error;
  }
}

describe("whatever other programs write", () => {
  it("into a job's hash can be read once it is repaired, and needs no second repair", async () => {
    const names = [
      "name",
      "data",
      "opts",
      "progress",
      "timestamp",
      "delay",
      "priority",
      "ats",
      "atm",
      "stc",
      "parent",
      "rjk",
    ];
    const hash = fc.dictionary(fc.constantFrom(...names), text);
    await endures(hash, (raw) => {
      const repair = soundFields(raw, { now: 1 });
      const sound = repair === null ? raw : repaired(raw, repair);
      expect(soundFields(sound, { now: 1 })).toBe(null);
      for (const name of ["data", "opts", "progress", "parent"]) JSON.parse(sound[name] ?? "{}");
      expect(typeof JSON.parse(sound["opts"] ?? "{}")).toBe("object");
      viewOf(
        {
          id: "j",
          name: sound["name"] ?? "",
          data: readJson(raw["data"] ?? ""),
          progress: readJson(raw["progress"] ?? ""),
          returnvalue: null,
          timestamp: 1,
        },
        "failed",
      );
    });
  });

  it("as a request is taken or refused", async () => {
    const request = fc.oneof(
      fc.anything(),
      fc.object().map((fields) => ({ v: 1, input: "x", ...fields })),
    );
    await endures(fc.tuple(fc.constantFrom("convert", "transcribe", "x"), request), ([type, data]) => {
      orRefused(() => parseRequest(type, data));
      newerRequest(type, data);
    });
  });

  it("as a checkpoint is read and written again as it was, or refused", async () => {
    const good = moved(firstCheckpoint(1, 0), "upload", { volumeId: "vo-1" }, 2);
    const record = fc.oneof(
      text,
      fc.object().map((fields) => JSON.stringify({ ...good, ...fields }, plain)),
    );
    await endures(record, (stored) =>
      orRefused(() =>
        expect(JSON.parse(encodeCheckpoint(decodeCheckpoint(stored)))).toEqual(JSON.parse(stored)),
      ),
    );
  });

  it("as a message or a line of a log is data or nothing", async () => {
    await endures(text, (line) => {
      readJson(line);
      parseProgressLine(line);
      parseProgressLine(`MIRUMOJI ${line}`);
      parseProgressLine(`MIRUMOJI {${line}}`);
    });
  });
});
