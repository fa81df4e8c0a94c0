import { describe, expect, it } from "vitest";
import { loadEnvironment } from "../../src/config/load.ts";

describe("loadEnvironment", () => {
  it("has a default for everything that can have one, and takes empty for not set", () => {
    const environment = loadEnvironment({ REDIS_URL: "", OTHER: "x" });
    expect(environment).toMatchObject({ REDIS_URL: "redis://127.0.0.1:6379", MIRUMOJI_MODAL_GPU: "A10G" });
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
});
