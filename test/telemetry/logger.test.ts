import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { secretValues } from "../../src/config/secrets.ts";
import { createRedactor, redactValue } from "../../src/telemetry/redact.ts";

const LOGGER = fileURLToPath(new URL("../../src/telemetry/logger.ts", import.meta.url));

/** Lines that a process with our logger writes to stderr. */
function logged(code: string, options: { readable?: boolean; secrets?: string[] } = {}): string {
  const settings = { level: "info", readable: false, secrets: [], ...options };
  const script = `
    import { createLogger } from ${JSON.stringify(LOGGER)};
    const logger = createLogger(${JSON.stringify(settings)});
    ${code}`;
  const run = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  expect(run.stdout).toBe("");
  expect(run.status, run.stderr).toBe(0);
  return run.stderr;
}

describe("a log line", () => {
  it("is one JSON document, or text for people on a terminal", () => {
    const code = `logger.info({ jobId: "j1", type: "convert" }, "queued -> createVolume");`;
    expect(JSON.parse(logged(code))).toMatchObject({
      level: 30,
      jobId: "j1",
      type: "convert",
      msg: "queued -> createVolume",
    });
    expect(logged(code, { readable: true })).toMatch(/INFO.*queued -> createVolume.*j1/u);
  });

  it("never shows a secret, wherever it got in", () => {
    const secrets = ['quo"ted\\secret', "ak-token-id"];
    const code = `
      logger.info({ tokenSecret: "x-field", nested: { password: "x-nested" } }, "fields");
      logger.info({ deep: { url: { a: "redis://me:x-url-pass@host:6379/0" } } }, "said ak-token-id");
      logger.info({ reply: ${JSON.stringify(secrets[0])} }, "quoted");
      logger.error({ err: new Error("GET https://h/x?token=x-query&a=1 with Bearer x-bearer-123") }, "failed");
      logger.info("rediss://:x-only-pass@host and https://a:x-@t@host/p");`;
    for (const readable of [false, true]) {
      const text = logged(code, { readable, secrets });
      expect(text).not.toMatch(/x-field|x-nested|x-url|x-query|x-bearer|x-only|x-@t|ak-token|quo.{1,2}ted/u);
      expect(text).toContain("[hidden]");
      expect(text).toContain("a=1");
      expect(text).toContain("@host:6379/0");
    }
  });

  it("holds some of what a server, a function or a library said, never all", () => {
    const text = logged(`
      const cause = new Error("c".repeat(300_000));
      logger.error({ err: new Error("m".repeat(300_000), { cause }) }, "failed");`);
    expect(text.length).toBeLessThan(20_000);
    expect(JSON.parse(text)).toMatchObject({
      err: { message: expect.stringMatching(/^m+ \.\.\. \[\d+ more characters\] \.\.\. c+$/u) as string },
    });
  });

  it("still reads as JSON when something was taken out of it", () => {
    const text = logged(`logger.info({ url: "https://u:p@host/?sig=abc" }, "x");`);
    expect(JSON.parse(text)).toMatchObject({ url: "https://[hidden]@host/?sig=[hidden]" });
  });
});

describe("what is taken out", () => {
  it("covers every secret of the configuration", () => {
    const secrets = secretValues({
      REDIS_URL: "redis://me:p%40ss%2Fword@host",
      BOARD_USERS: "ann:first:with-colon,bob:second-one",
      MODAL_TOKEN_ID: "ak-1234",
      MODAL_TOKEN_SECRET: "as-5678",
    });
    const redact = createRedactor(secrets);
    for (const secret of [
      "p%40ss%2Fword",
      "p@ss/word",
      "first:with-colon",
      "second-one",
      "ak-1234",
      "as-5678",
    ]) {
      expect(redact(`<${secret}>`)).toBe("<[hidden]>");
    }
    expect(
      secretValues({
        REDIS_URL: "redis://127.0.0.1:6379",
        BOARD_USERS: undefined,
        MODAL_TOKEN_ID: undefined,
        MODAL_TOKEN_SECRET: undefined,
      }),
    ).toEqual([]);
  });

  it("is hidden by the name of its field in values of any shape", () => {
    const redact = createRedactor();
    expect(
      redactValue(
        { input: "a.mkv", apiKey: "1", deep: [{ webhook_secret: { a: 1 } }], n: 1, none: null },
        redact,
      ),
    ).toEqual({
      input: "a.mkv",
      apiKey: "[hidden]",
      deep: [{ webhook_secret: "[hidden]" }],
      n: 1,
      none: null,
    });
  });

  it("takes time in proportion to the text, whatever is in it", () => {
    const redact = createRedactor(["a-secret"]);
    const pieces = ["a", ":", "/", "@", "?", "&", "=", ".", " ", "\n", '"'].concat([
      "a:",
      "a://",
      "://a@",
      "?token",
      "&sig=",
      "?a=&",
      "?-token=",
      "bearer ",
      "basic  ",
      "//@",
    ]);
    const began = performance.now();
    for (const piece of pieces) {
      for (const start of ["", "a://", "bearer", "?"]) {
        redact(start + piece.repeat(Math.ceil(1_000_000 / piece.length)));
      }
    }
    // 84 texts of 1 MB take a second or two; the pattern that was quadratic took minutes for one of them.
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  it("is found in values that are deep, broken or about themselves", () => {
    const redact = createRedactor(["a-secret"]);
    let deep: unknown = "a-secret";
    for (let level = 0; level < 10_000; level++) deep = level % 2 === 0 ? [deep] : { a: deep };
    expect(JSON.stringify(redactValue(deep, redact))).toMatch(/^.{1,200}\[hidden\]/u);
    const own: Record<string, unknown> = { "a-secret": 1, tokens: 5 };
    own["self"] = own;
    expect(JSON.stringify(redactValue(own, redact))).toMatch(/^\{"\[hidden\]":1,"tokens":5/u);
    expect(JSON.stringify(redactValue(own, redact))).not.toContain("a-secret");
  });

  it("leaves ordinary text alone", () => {
    const redact = createRedactor(["ab"]);
    const text = "upload -> call: 50 MB/s to me@example.com, see https://host/a?b=c about a basic idea";
    expect(redact(text)).toBe(text);
  });
});
