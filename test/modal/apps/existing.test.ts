import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findModal } from "../../../src/modal/apps/existing.ts";
import { handlerInImage } from "../../../src/modal/apps/handler.ts";
import { deployModal } from "../../../src/modal/apps/deploy.ts";
import type { AppShare, SharedApp } from "../../../src/queue/app-share.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

let host: HostForTests;
beforeAll(async () => {
  host = await startHostForTests();
});
afterAll(async () => await host[Symbol.asyncDispose]());

const names = { appName: "theirs", transcribe: "transcribe", convert: "convert" };

/** Functions that a third party would have deployed, in the session's environment. */
async function deployTheirs(session = host.session) {
  let known: SharedApp | null = null;
  const share: AppShare = {
    read: async () => await Promise.resolve(known),
    write: async (app) => {
      known = await Promise.resolve(app);
    },
    exclusively: async (action) => await action(),
    join: async () => await Promise.resolve(),
    leave: async () => await Promise.resolve(false),
  };
  return await deployModal(session, {
    appName: "theirs",
    image: "a/b:1",
    gpus: ["T4"],
    timeoutSeconds: 5,
    scaledownWindowSeconds: 2,
    handler: handlerInImage("theirs"),
    share,
  });
}

describe("functions that somebody else deployed", () => {
  test("are found by the app's and their names; nothing is registered", async () => {
    const deployed = await deployTheirs();
    const before = host.requests.length;
    const found = await findModal(host.session, names);
    expect(found).toEqual({
      appId: deployed.appId,
      transcribe: deployed.transcribe,
      convert: deployed.convert,
    });
    expect(host.requests.slice(before).map(({ rpc }) => rpc)).toEqual(["FunctionGet", "FunctionGet"]);
  });

  test("are looked for in the session's environment", async () => {
    const staging = host.open({ environment: "staging" });
    await expect(findModal(staging, names)).rejects.toThrow(/environment staging/u);
    const { appId } = await deployTheirs(staging);
    expect((await findModal(staging, names)).appId).toBe(appId);
  });

  test.each([
    [
      "the app",
      { appName: "nobody's" },
      /"transcribe" of the deployed app "nobody's".*MIRUMOJI_MODAL_APP_NAME/u,
    ],
    ["a function", { convert: "burn" }, /"burn" of the deployed app "theirs".*MIRUMOJI_CONVERT_FUNCTION/u],
  ])("that are not there are told with what to check: %s", async (_what, wrong, message) => {
    const finding = findModal(host.session, { ...names, ...wrong });
    await expect(finding).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(finding).rejects.toThrow(message);
  });

  test("that the server calls again by itself are warned of, each with its name and what it may cost", async () => {
    const functionGet = async ({ objectTag }: { objectTag: string }) => ({
      functionId: "fu-1",
      handleMetadata: { appId: "ap-1", supportedInputFormats: [4] },
      function: {
        rankedFunctions: [
          { rank: 1, function: { retryPolicy: { retries: objectTag === "convert" ? 2 : 0 } } },
          { rank: 2, function: {} },
        ],
      },
    });
    const session = scriptedSession({ functionGet });
    await findModal(session, names);
    expect(session.warnings).toEqual([
      expect.stringMatching(/theirs\/convert .*retries=2.* 3 times.*without retries/u),
    ]);
  });

  test("that take no CBOR are refused before anything is paid for", async () => {
    const { cpClient } = host.session;
    const { appId } = await cpClient.appCreate({ description: "old", appState: 6 });
    const { imageId } = await cpClient.imageGetOrCreate({
      appId,
      image: { dockerfileCommands: ["FROM a/b:1"] },
    });
    const formats = { supportedInputFormats: [1], supportedOutputFormats: [1] };
    const common = { ...formats, functionType: 2, functionName: "transcribe" };
    const { functionId } = await cpClient.functionPrecreate({ appId, ...common });
    await cpClient.functionCreate({
      appId,
      existingFunctionId: functionId,
      function: { ...common, moduleName: "x", definitionType: 2, imageId },
    });
    await cpClient.appPublish({ appId, name: "old", appState: 3, functionIds: { transcribe: functionId } });
    await expect(findModal(host.session, { ...names, appName: "old" })).rejects.toThrow(
      /does not take CBOR/u,
    );
  });
});
