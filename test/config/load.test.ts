import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadEnvironment } from "../../src/config/load.ts";
import { testFolder } from "../../support/folder.ts";

describe("loadEnvironment", () => {
  it("has a default for everything that can have one, and takes empty for not set", () => {
    const environment = loadEnvironment({ REDIS_URL: "", OTHER: "x" });
    expect(environment).toMatchObject({ REDIS_URL: "redis://127.0.0.1:6379", MIRUMOJI_MODAL_GPU: ["A10G"] });
    expect(environment.MODAL_TOKEN_ID).toBeUndefined();
  });

  it("reports every problem together: the variable, what it got and what it wants", () => {
    const load = () =>
      loadEnvironment({
        MIRUMOJI_HTTP_PORT: "99999",
        MIRUMOJI_QUEUE_PREFIX: "plain",
        REDIS_URL: "http://me:pw@x",
      });
    expect(load).toThrow(/MIRUMOJI_HTTP_PORT got "99999"/u);
    expect(load).toThrow(/MIRUMOJI_QUEUE_PREFIX got "plain": must be a name in braces/u);
    expect(load).toThrow(/REDIS_URL got a value that is not shown/u);
    expect(load).not.toThrow(/pw@/u);
  });

  it.each([
    [{ MODAL_APP_MODE: "forever" }, /MODAL_APP_MODE got "forever"/u],
    [{ MIRUMOJI_TRANSCRIBE_FUNCTION: "jobs.speech" }, /MIRUMOJI_TRANSCRIBE_FUNCTION .*module:function/u],
    [{ MIRUMOJI_CONVERT_FUNCTION: "jobs:video.convert" }, /MIRUMOJI_CONVERT_FUNCTION .*module:function/u],
    [{ MIRUMOJI_HANDLER: "/srv/my-handler.py" }, /MIRUMOJI_HANDLER .*name is that of a module/u],
    [{ MIRUMOJI_MODAL_REGIONS: "eu;us" }, /MIRUMOJI_MODAL_REGIONS .*with commas/u],
    [{ MIRUMOJI_MODAL_APP_NAME: "my app" }, /MIRUMOJI_MODAL_APP_NAME/u],
    [{ MIRUMOJI_MODAL_REGISTRY_SECRET: "a/b" }, /MIRUMOJI_MODAL_REGISTRY_SECRET/u],
    [{ MIRUMOJI_MODAL_MAX_CONTAINERS: "0" }, /MIRUMOJI_MODAL_MAX_CONTAINERS got "0"/u],
    [{ MIRUMOJI_MODAL_STARTUP_TIMEOUT: "soon" }, /MIRUMOJI_MODAL_STARTUP_TIMEOUT got "soon"/u],
    [
      { MIRUMOJI_MODAL_MIN_CONTAINERS: "3", MIRUMOJI_MODAL_MAX_CONTAINERS: "2" },
      /MIRUMOJI_MODAL_MIN_CONTAINERS got "3": must not be more than MIRUMOJI_MODAL_MAX_CONTAINERS, which is 2/u,
    ],
  ])("refuses what Modal could not use: %j", (variables, message) => {
    expect(() => loadEnvironment(variables)).toThrow(message);
  });

  it("takes what decides where and how functions run", () => {
    const variables = {
      MODAL_APP_MODE: "deployed",
      MIRUMOJI_TRANSCRIBE_FUNCTION: "mirumoji_jobs.transcription:transcribe_job",
      MIRUMOJI_HANDLER: "./my_handler.py",
      MIRUMOJI_MODAL_REGIONS: "eu, us-east-1",
      MIRUMOJI_MODAL_MIN_CONTAINERS: "0",
    };
    expect(loadEnvironment(variables)).toMatchObject({
      ...variables,
      MIRUMOJI_MODAL_REGIONS: ["eu", "us-east-1"],
      MIRUMOJI_MODAL_MIN_CONTAINERS: 0,
    });
  });
});

describe("a secret in a file", () => {
  it("takes the place of its variable", async () => {
    await using folder = await testFolder();
    const put = async (name: string, text: string) => {
      await writeFile(join(folder.path, name), text);
      return join(folder.path, name);
    };
    const environment = loadEnvironment({
      REDIS_URL_FILE: await put("redis", "redis://:pw@host:6379\n"),
      MODAL_TOKEN_ID_FILE: await put("id", "ak-1"),
      MODAL_TOKEN_SECRET_FILE: await put("secret", "as-1\r\n"),
      BOARD_USERS_FILE: await put("users", "ann:first\n"),
      OTEL_EXPORTER_OTLP_HEADERS_FILE: await put("headers", "a=b"),
    });
    expect(environment).toMatchObject({
      REDIS_URL: "redis://:pw@host:6379",
      MODAL_TOKEN_ID: "ak-1",
      MODAL_TOKEN_SECRET: "as-1",
      BOARD_USERS: "ann:first",
      OTEL_EXPORTER_OTLP_HEADERS: "a=b",
    });
  });

  it("is refused when it is missing, empty, wrong or given twice, and not shown", async () => {
    await using folder = await testFolder();
    const empty = join(folder.path, "empty");
    const wrong = join(folder.path, "wrong");
    await writeFile(empty, "\n");
    await writeFile(wrong, "no-pair-at-all");
    const load = () =>
      loadEnvironment({
        REDIS_URL_FILE: join(folder.path, "none"),
        MODAL_TOKEN_ID_FILE: empty,
        MODAL_TOKEN_SECRET_FILE: wrong,
        MODAL_TOKEN_SECRET: "as-1",
        BOARD_USERS_FILE: wrong,
      });
    expect(load).toThrow(/REDIS_URL_FILE got ".*none": cannot be read: ENOENT/u);
    expect(load).toThrow(/MODAL_TOKEN_ID_FILE got ".*empty": the file holds no secret/u);
    expect(load).toThrow(/MODAL_TOKEN_SECRET_FILE got ".*": MODAL_TOKEN_SECRET is set as well/u);
    expect(load).toThrow(/BOARD_USERS got a value that is not shown: must look like/u);
    expect(load).not.toThrow(/no-pair-at-all|as-1/u);
  });
});
