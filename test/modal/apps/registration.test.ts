import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MirumojiError } from "../../../src/job/errors.ts";
import {
  chosenHandler,
  handlerInImage,
  type Handler,
  mountedHandler,
} from "../../../src/modal/apps/handler.ts";
import { fingerprintOf, type RegistrationOptions } from "../../../src/modal/apps/registration.ts";
import { setupModal } from "../../../src/modal/setup-modal.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";
import {
  asOneShape,
  readRecording,
  recordingSession,
  type WireRequest,
} from "../../helpers/modal/wire-shape.ts";

let host: HostForTests;
beforeAll(async () => {
  host = await startHostForTests();
});
afterAll(async () => await host[Symbol.asyncDispose]());

/** The functions of the recording, which were registered by the official Python SDK. */
const RECORDED_HANDLER: Handler = {
  transcribe: {
    tag: "transcribe_job",
    module: "mirumoji_jobs.transcription",
    implementation: "transcribe_job",
    parameters: handlerInImage("any").transcribe.parameters,
  },
  convert: {
    tag: "video_conversion_job",
    module: "mirumoji_jobs.conversion",
    implementation: "video_conversion_job",
    parameters: handlerInImage("any").convert.parameters,
  },
  sources: [],
};

const RECORDED_SETTINGS = {
  image: "docker.io/svdc1/mirumoji-modal-gpu:3.2.0",
  gpus: ["A10G"],
  timeoutSeconds: 600,
  scaledownWindowSeconds: 60,
  // The recording was made against Modal's mock, whose builder version this is.
  builderVersion: "PREVIEW",
};

/** Writes the recorded package to disk, in the order in which it was mounted. */
async function recordedSources(
  folder: string,
  recorded: readonly WireRequest[],
): Promise<Handler["sources"]> {
  const contents = new Map<unknown, Buffer>();
  for (const { rpc, msg } of recorded) {
    if (rpc === "MountPutFile") contents.set(msg["sha256_hex"], Buffer.from(String(msg["data"]), "base64"));
  }
  const mount = recorded.find(({ rpc, msg }) => rpc === "MountGetOrCreate" && "files" in msg);
  const files = mount?.msg["files"] as { filename: string; sha256_hex: string }[];
  await mkdir(join(folder, "mirumoji_jobs"));
  return await Promise.all(
    files.map(async ({ filename, sha256_hex }) => {
      const localPath = join(folder, filename.replace("/root/", ""));
      await writeFile(localPath, contents.get(sha256_hex) ?? "");
      return { localPath, remotePath: filename };
    }),
  );
}

/** Every different request of one app's life, from creation to end. */
async function requestsOf(options: RegistrationOptions, on: HostForTests = host): Promise<WireRequest[]> {
  const session = recordingSession(on.session);
  const runtime = await setupModal(session, options);
  await runtime.close();
  return session.requests;
}

describe("registration sends what the official Python SDK sends, field by field", () => {
  test.each([
    ["setup_modal include_source=True", true],
    ["setup_modal include_source=False", false],
  ])("%s", async (mark, mounted) => {
    // A new server: it knows no image and no file yet, as the recorded one.
    await using fresh = await startHostForTests();
    const recorded = await readRecording(mark);
    const sources = mounted ? await recordedSources(fresh.folder, recorded) : [];
    const ours = await requestsOf({ ...RECORDED_SETTINGS, handler: { ...RECORDED_HANDLER, sources } }, fresh);
    // Python asks for the environment's builder version, once per process; we pin ours.
    const theirs = recorded.filter(({ rpc }) => rpc !== "EnvironmentGetOrCreate");
    expect(asOneShape(ours)).toEqual(asOneShape(theirs));
    expect(ours.some(({ rpc }) => rpc === "MountPutFile")).toBe(mounted);
  });

  test("for several GPUs, and for cores, memory and time of each function", async () => {
    const recorded = await readRecording("resources", "python-sdk-1.6.4-resources.jsonl");
    const ours = await requestsOf({
      ...RECORDED_SETTINGS,
      handler: { ...handlerInImage("mirumoji_gpu"), sources: [] },
      gpus: ["A10G", "L4", "ANY"],
      cpu: 2.5,
      memoryMib: 4096,
      scaledownWindowSeconds: 120,
      only: { convert: { gpus: [], cpu: 8, memoryMib: 2048, scaledownWindowSeconds: 30 } },
    });
    const created = ours.filter(({ rpc }) => rpc === "FunctionCreate");
    expect(asOneShape(created)).toEqual(asOneShape(recorded));
    expect(created.length).toBe(2);
  });

  test("for a named volume that keeps models", async () => {
    const recorded = await readRecording("model volume", "python-sdk-1.6.4-model-volume.jsonl");
    const ours = await requestsOf({
      ...RECORDED_SETTINGS,
      handler: { ...handlerInImage("mirumoji_gpu"), sources: [] },
      modelVolume: "mirumoji-models",
    });
    const isTranscribe = ({ rpc, msg }: WireRequest) =>
      rpc === "FunctionCreate" && JSON.stringify(msg).includes('"transcribe"');
    const mine = ours.filter((request) => request.rpc === "VolumeGetOrCreate" || isTranscribe(request));
    // Python names no environment in place of the default one, and sends an empty message that is newer than our SDK.
    const [first, ...others] = mine;
    const { environmentName: _, ...named } = { ...first?.msg };
    const { create_options: __, ...theirs } = { ...recorded[0]?.msg };
    expect(asOneShape([{ rpc: "VolumeGetOrCreate", msg: named }])).toEqual(
      asOneShape([{ rpc: "VolumeGetOrCreate", msg: theirs }]),
    );
    expect(asOneShape(others)).toEqual(asOneShape(recorded.slice(1)));
    expect(ours.filter(({ rpc }) => rpc === "FunctionCreate").length).toBe(2);
  });

  test("in an order that the server can serve", async () => {
    const before = host.requests.length;
    const handler = { ...RECORDED_HANDLER, sources: [] };
    await (await setupModal(host.session, { ...RECORDED_SETTINGS, image: "a/new:image", handler })).close();
    const order = host.requests.slice(before).map(({ rpc }) => rpc);
    expect(order.filter((rpc) => rpc !== "AppHeartbeat" && rpc !== "AuthTokenGet")).toEqual([
      "AppCreate",
      "FunctionPrecreate",
      "FunctionPrecreate",
      "MountGetOrCreate",
      "ImageGetOrCreate",
      "ImageJoinStreaming",
      "FunctionCreate",
      "FunctionCreate",
      "AppPublish",
      "AppClientDisconnect",
    ]);
    expect(order.indexOf("AppHeartbeat")).toBeGreaterThan(0);
    expect(order.indexOf("AppHeartbeat")).toBeLessThan(4);
  });
});

describe("setupModal", () => {
  async function handlerFile(
    name: string,
    text = "def transcribe(): pass\ndef convert(): pass\n",
  ): Promise<string> {
    const path = join(host.folder, name);
    await writeFile(path, text);
    return path;
  }
  const settings = { image: "docker.io/a/b:1", gpus: ["L4"], timeoutSeconds: 30, scaledownWindowSeconds: 5 };

  test("registers the handler file under its own name with the seed's signatures", async () => {
    const session = recordingSession(host.session);
    const handler = mountedHandler(await handlerFile("mirumoji_gpu.py"));
    const runtime = await setupModal(session, { ...settings, handler });
    expect(runtime.transcribe).toMatchObject({ tag: "transcribe" });
    expect(runtime.convert.definitionId).toMatch(/^de-/);
    const created = session.requests
      .filter(({ rpc }) => rpc === "FunctionCreate")
      .map(({ msg }) => msg["function"]);
    const args = (names: string[], required: number): object => ({
      arguments: names.map((name, index) => ({ name, hasDefault: index >= required })),
    });
    expect(created).toMatchObject([
      {
        moduleName: "mirumoji_gpu",
        implementationName: "transcribe",
        functionSchema: args(["vol_fp", "vol_id", "output_format", "w_model_args", "w_transcribe_args"], 2),
      },
      { moduleName: "mirumoji_gpu", functionSchema: args(["vol_fp", "vol_id", "to_mp4_kwargs"], 2) },
    ]);
    const image = session.requests.find(({ rpc }) => rpc === "ImageGetOrCreate");
    expect(image?.msg).toMatchObject({ builderVersion: "2025.06" });
    await runtime.close();
  });

  test("has the signatures that the handler file really has", async () => {
    const source = await readFile(
      new URL("../../../container/mirumoji_gpu/__init__.py", import.meta.url),
      "utf8",
    );
    for (const { implementation, parameters } of [
      handlerInImage("x").transcribe,
      handlerInImage("x").convert,
    ]) {
      const signature =
        new RegExp(`^def ${implementation}\\(([^]*?)\\)(?: ->[^:]*)?:`, "m").exec(source)?.[1] ?? "";
      const names = signature
        .split(/,(?![^[]*\])/)
        .map((part) => part.trim().split(/[:=\s]/)[0] ?? "")
        .filter((name) => name !== "*" && name !== "");
      expect(names).toEqual(parameters.map(({ name }) => name));
    }
  });

  test("sends every scaling setting twice, and none that was not given", async () => {
    const handler = mountedHandler(await handlerFile("scaling.py"));
    const scaling = async (more: object): Promise<unknown> => {
      const requests = await requestsOf({ ...settings, handler, ...more });
      return requests.find(({ rpc }) => rpc === "FunctionCreate")?.msg["function"];
    };
    expect(await scaling({ minContainers: 1, maxContainers: 3 })).toMatchObject({
      warmPoolSize: 1,
      concurrencyLimit: 3,
      taskIdleTimeoutSecs: 5,
      autoscalerSettings: { minContainers: 1, maxContainers: 3, scaledownWindow: 5 },
    });
    expect(await scaling({})).not.toHaveProperty("warmPoolSize");
  });

  test("mounts every Python file of a package in its place, and nothing else", async () => {
    const folder = join(host.folder, "packed");
    await mkdir(join(folder, "inner"), { recursive: true });
    for (const name of ["__init__.py", "inner/__init__.py", "inner/more.py", "README.md"]) {
      await writeFile(join(folder, name), `# ${name}`);
    }
    const requests = await requestsOf({ ...settings, handler: mountedHandler(folder) });
    const mount = requests.find(({ rpc, msg }) => rpc === "MountGetOrCreate" && msg["files"]);
    const mounted = mount?.msg["files"] as { filename: string }[];
    expect(mounted.map(({ filename }) => filename)).toEqual([
      "/root/packed/__init__.py",
      "/root/packed/inner/__init__.py",
      "/root/packed/inner/more.py",
    ]);
    expect(requests.find(({ rpc }) => rpc === "FunctionCreate")?.msg["function"]).toMatchObject({
      moduleName: "packed",
    });
  });

  test("does not send a file or build an image a second time", async () => {
    const handler = mountedHandler(await handlerFile("once.py", "# once\n"));
    await requestsOf({ ...settings, handler });
    const again = (await requestsOf({ ...settings, handler })).map(({ rpc }) => rpc);
    expect(again).not.toContain("MountPutFile");
    expect(again).not.toContain("ImageJoinStreaming");
    expect(again).toContain("MountGetOrCreate");
  });

  test("has a fingerprint of the settings and the handler's bytes, wherever the file lies", async () => {
    const fingerprint = async (options: Partial<RegistrationOptions>, text = "# 1\n"): Promise<string> => {
      const handler = mountedHandler(await handlerFile("fingerprint.py", text));
      return await fingerprintOf({ ...settings, handler, ...options });
    };
    const first = await fingerprint({});
    expect(await fingerprint({})).toBe(first);
    expect(await fingerprint({}, "# 2\n")).not.toBe(first);
    expect(await fingerprint({ gpus: ["T4"] })).not.toBe(first);
    const changes: Partial<RegistrationOptions>[] = [
      { timeoutSeconds: 31 },
      { startupTimeoutSeconds: 60 },
      { scaledownWindowSeconds: 6 },
      { minContainers: 1 },
      { maxContainers: 2 },
      { regions: ["eu"] },
      { cpu: 2 },
      { memoryMib: 512 },
      { only: { convert: { cpu: 2 } } },
      { image: "docker.io/a/b:2" },
      { registrySecret: "registry" },
      { appName: "other" },
      { handler: handlerInImage("other") },
    ];
    const all = await Promise.all(changes.map(async (change) => await fingerprint(change)));
    expect(new Set([first, ...all]).size).toBe(changes.length + 1);
    const options = { ...settings, handler: handlerInImage("x") };
    const places = [{}, { environment: "staging" }, { deployed: true }];
    const there = await Promise.all(places.map(async (place) => await fingerprintOf(options, place)));
    expect(new Set(there).size).toBe(places.length);
  });

  test("asks for the regions and for a start-up time of its own", async () => {
    const handler = mountedHandler(await handlerFile("placed.py"));
    const created = async (more: object): Promise<unknown> => {
      const requests = await requestsOf({ ...settings, handler, ...more });
      return requests.find(({ rpc }) => rpc === "FunctionCreate")?.msg["function"];
    };
    expect(await created({ regions: ["eu", "us-east-1"], startupTimeoutSeconds: 900 })).toMatchObject({
      schedulerPlacement: { regions: ["eu", "us-east-1"] },
      startupTimeoutSecs: 900,
      timeoutSecs: 30,
    });
    const plain = await created({});
    expect(plain).not.toHaveProperty("schedulerPlacement");
    expect(plain).toMatchObject({ startupTimeoutSecs: 30 });
  });

  test("gives the registry's secret to the image build, and refuses one that is not there or lacks a key", async () => {
    await using private_ = await startHostForTests({
      secrets: { registry: ["REGISTRY_USERNAME", "REGISTRY_PASSWORD"], half: ["REGISTRY_USERNAME"] },
    });
    const options = { ...settings, handler: handlerInImage("x") };
    const requests = await requestsOf({ ...options, registrySecret: "registry" }, private_);
    expect(requests.find(({ rpc }) => rpc === "ImageGetOrCreate")?.msg["image"]).toMatchObject({
      imageRegistryConfig: { registryAuthType: 4, secretId: expect.stringMatching(/^st-/) },
    });
    for (const [registrySecret, why] of [
      ["nobody", /names "nobody".*not found/],
      ["half", /names "half".*lacks REGISTRY_PASSWORD/],
    ] as const) {
      const failing = setupModal(private_.session, { ...options, registrySecret });
      await expect(failing).rejects.toMatchObject({ code: "CONFIG_INVALID" });
      await expect(failing).rejects.toThrow(why);
    }
    expect(private_.host.stats().apps.live).toBe(0);
  });

  test("registers functions of the image under their own names, and mounts only what is ours", async () => {
    const handlerPath = await handlerFile("ours.py");
    const theirs = { transcribe: "jobs.speech:transcribe_job", convert: "jobs.video:convert_job" };
    const both = await requestsOf({ ...settings, handler: chosenHandler({ handlerPath, ...theirs }) });
    expect(both.map(({ rpc }) => rpc)).not.toContain("MountBatchedCheckExistence");
    const { transcribe } = theirs;
    const one = await requestsOf({ ...settings, handler: chosenHandler({ handlerPath, transcribe }) });
    const functions = one.filter(({ rpc }) => rpc === "FunctionCreate").map(({ msg }) => msg["function"]);
    expect(functions).toMatchObject([
      { moduleName: "jobs.speech", functionName: "transcribe_job", implementationName: "transcribe_job" },
      { moduleName: "ours", functionName: "convert", implementationName: "convert" },
    ]);
    expect(one.map(({ rpc }) => rpc)).toContain("MountBatchedCheckExistence");
    expect(() => chosenHandler({ handlerPath, transcribe: "jobs:run", convert: "more:run" })).toThrow(
      /both functions are named "run"/,
    );
  });

  test("leaves no app behind when the image cannot be built, and says why", async () => {
    await host.fault({ image: "fail", message: "no such manifest" });
    const before = host.requests.length;
    const lines: string[] = [];
    const failing = setupModal(host.session, {
      ...settings,
      image: "docker.io/a/broken:1",
      handler: handlerInImage("x"),
      onLog: (line) => lines.push(line),
    });
    await expect(failing).rejects.toMatchObject({ code: "IMAGE_BUILD_FAILED" });
    await expect(failing).rejects.toThrow(/docker\.io\/a\/broken:1.*no such manifest/);
    expect(lines).toContain("no such manifest");
    const [created, ended] = ["AppCreate", "AppClientDisconnect"].map((name) =>
      host.requests.slice(before).filter(({ rpc }) => rpc === name),
    );
    expect(created).toHaveLength(1);
    expect(ended).toMatchObject([
      { request: { reason: 4, exception: expect.stringContaining("no such manifest") } },
    ]);
  });

  test("ends the app when it is aborted in the middle", async () => {
    await host.fault({ rpc: "FunctionPrecreate", latencyMs: 3_000 });
    const controller = new AbortController();
    const before = host.requests.length;
    const failing = setupModal(host.session, {
      ...settings,
      handler: handlerInImage("x"),
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 500);
    await expect(failing).rejects.toMatchObject({ code: "INTERRUPTED" });
    await host.clearFaults();
    expect(host.requests.slice(before).map(({ rpc }) => rpc)).toContain("AppClientDisconnect");
  });

  test("comes through a server that fails a few times", async () => {
    for (const rpc of [
      "AppCreate",
      "FunctionPrecreate",
      "ImageGetOrCreate",
      "FunctionCreate",
      "AppPublish",
    ]) {
      await host.fault({ rpc, code: "UNAVAILABLE", times: 2 });
    }
    const appsBefore = new Set(appIds());
    const runtime = await setupModal(host.session, { ...settings, handler: handlerInImage("x") });
    expect(new Set(appIds()).size).toBe(appsBefore.size + 1);
    await runtime.close();
  });

  test("names the version when Modal has no such client mount", async () => {
    const failing = setupModal(host.session, {
      ...settings,
      handler: handlerInImage("x"),
      clientMountVersion: "9.9.9",
    });
    await expect(failing).rejects.toMatchObject({ code: "MODAL_REFUSED" });
    await expect(failing).rejects.toThrow(/9\.9\.9.*versions\.ts/);
  });

  test("names the handler file that cannot be read", async () => {
    const failing = setupModal(host.session, { ...settings, handler: mountedHandler("/none/handler.py") });
    await expect(failing).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  test("reports APP_LOST when somebody stops the app, and stops beating", async () => {
    const runtime = await setupModal(host.session, { ...settings, handler: handlerInImage("x") });
    await runtime.close();
    const { keepAppAlive } = await import("../../../src/modal/apps/keep-alive.ts");
    const error = await new Promise<MirumojiError>((resolve) => {
      keepAppAlive(host.session, { appId: runtime.appId, onError: resolve });
    });
    expect(error.code).toBe("APP_LOST");
  });

  /** The apps that anything was asked of. */
  function appIds(): unknown[] {
    return host.requests.flatMap(({ request }) => (request["appId"] ? [request["appId"]] : []));
  }
});
