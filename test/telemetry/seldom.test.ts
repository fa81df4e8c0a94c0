import { expect, it } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { seldomWarn } from "../../src/telemetry/seldom.ts";

it("a flood of warnings is one line for each kind and half minute, which counts the others", () => {
  const lines: [object, string][] = [];
  let now = 0;
  const warn = seldomWarn({ warn: (...line: [object, string]) => void lines.push(line) } as never, () => now);
  for (let n = 0; n < 500; n += 1) {
    now = n * 100;
    warn(new MirumojiError("REDIS_READONLY", `a replica (${n})`), "Redis connection");
    warn(new Error(`could not renew lock for job 94d48b23-ba28-46db-${n}`), "convert consumer");
  }
  expect(lines.map(([, text]) => text.replaceAll(/\d+/gu, "#"))).toEqual([
    "Redis connection: REDIS_READONLY: a replica (#)",
    "convert consumer: could not renew lock for job #d#b#-ba#-#db-#",
    "Redis connection: REDIS_READONLY: a replica (#)",
    "convert consumer: could not renew lock for job #d#b#-ba#-#db-#",
  ]);
  expect(lines.map(([fields]) => (fields as { times?: number }).times)).toEqual([
    undefined,
    undefined,
    300,
    300,
  ]);
});
