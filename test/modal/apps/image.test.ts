import { ClientError, Status } from "nice-grpc";
import { describe, expect, test } from "vitest";
import { ensureImage } from "../../../src/modal/apps/image.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

const options = { appId: "ap-1", image: "docker.io/a/b:1", builderVersion: "2025.06" };
const result = (status: number, exception = ""): object => ({ status, exception });
const log = (...lines: string[]): object[] => lines.map((data) => ({ data: `${data}\n` }));
const update = (fields: object): object => ({ entryId: "", taskLogs: [], ...fields });

/** Plays one list of updates for each join; an Error in it breaks the stream there. */
function building(...streams: (object | Error)[][]) {
  return scriptedSession({
    imageGetOrCreate: async () => ({ imageId: "im-1" }),
    imageJoinStreaming: async function* () {
      for (const item of streams.shift() ?? []) {
        if (item instanceof Error) throw item;
        yield item;
      }
    },
  });
}

const reset = new ClientError("/ImageJoinStreaming", Status.UNAVAILABLE, "stream reset");

describe("an image", () => {
  test("that Modal has is one request", async () => {
    const session = scriptedSession({
      imageGetOrCreate: async () => ({ imageId: "im-1", result: result(1) }),
    });
    expect(await ensureImage(session, options)).toEqual({ imageId: "im-1" });
    expect(session.asked.map(([rpc]) => rpc)).toEqual(["imageGetOrCreate"]);
  });

  test("is followed through broken and ended streams, each from the last entry seen", async () => {
    const session = building(
      [update({ entryId: "1", taskLogs: log("one") }), reset],
      [reset],
      [update({ entryId: "2", taskLogs: log("two", "three") })],
      [update({ result: result(1) }), update({ taskLogs: log("after the result") })],
    );
    const lines: string[] = [];
    await ensureImage(session, { ...options, onLog: (line) => lines.push(line) });
    expect(lines).toEqual(["one", "two", "three", "after the result"]);
    const joins = session.asked.filter(([rpc]) => rpc === "imageJoinStreaming").map(([, request]) => request);
    expect(joins).toMatchObject(["", "1", "1", "2"].map((lastEntryId) => ({ imageId: "im-1", lastEntryId })));
  });

  test("that fails to build names the exception and the last lines", async () => {
    const session = building([
      update({ taskLogs: log(...Array.from({ length: 50 }, (_, index) => `line ${index}`)) }),
      update({ result: result(2, "no such image") }),
    ]);
    const failing = ensureImage(session, options);
    await expect(failing).rejects.toMatchObject({ code: "IMAGE_BUILD_FAILED" });
    await expect(failing).rejects.toThrow(/docker\.io\/a\/b:1.*no such image[^]*line 30\n[^]*line 49$/);
    await expect(failing).rejects.not.toThrow(/line 29\n/);
  });

  test.each([3, 4, 6])("whose build was stopped with status %i is tried again later", async (status) => {
    const failing = ensureImage(building([update({ result: result(status) })]), options);
    await expect(failing).rejects.toMatchObject({ code: "MODAL_FAILED" });
  });

  test("whose stream breaks again and again without a word is given up", async () => {
    const failing = ensureImage(building(...Array.from({ length: 10 }, () => [reset])), options);
    await expect(failing).rejects.toMatchObject({ code: "MODAL_UNAVAILABLE" });
  });

  test("that the server does not take at all is the image's fault", async () => {
    const session = scriptedSession({
      imageGetOrCreate: async () => {
        throw new ClientError("/ImageGetOrCreate", Status.INVALID_ARGUMENT, "bad reference");
      },
    });
    await expect(ensureImage(session, options)).rejects.toMatchObject({ code: "IMAGE_BUILD_FAILED" });
  });
});
