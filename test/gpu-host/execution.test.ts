import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { pids, startWithHandler as start } from "../helpers/gpu-host/calls.ts";
import {
  call,
  connect,
  expectGone,
  getFile,
  output,
  register,
  sha256,
  startHost,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

describe("running", () => {
  test("calls beyond the limit wait for their turn", async () => {
    const { host, cp, id, directory } = await start({ maxConcurrentCalls: 2 });
    const ids = [];
    for (const name of ["a", "b", "c"]) ids.push(await call(cp, id("slow"), [join(directory, name), 1]));
    await pids(join(directory, "a"));
    await pids(join(directory, "b"));

    const list = host.stats().calls.list.map(({ status }) => status);
    expect(list).toEqual(["running", "running", "queued"]);
    for (const functionCallId of ids) await output(cp, functionCallId);
    expect(host.stats().calls).toMatchObject({ succeeded: 3, running: 0 });
  });

  test("what a function leaves in a named volume that it has mounted is there for the next one, and for everybody", async () => {
    const cp = connect(await startHost());
    const { volumeId } = await cp.volumeGetOrCreate({
      deploymentName: "models",
      objectCreationType: 1,
      version: 2,
    });
    const source = `
import json, os
def keep(name):
    folder = json.loads(os.environ["MIRUMOJI_GPU_HOST_MOUNTS"])["/models"]
    found = os.listdir(folder)
    open(os.path.join(folder, name), "w").write("numbers")
    return found
`;
    const volumeMounts = [{ volumeId, mountPath: "/models" }];
    const { functions } = await register(cp, source, ["keep"], { volumeMounts });
    const id = functions["keep"] ?? "";
    expect(await value(cp, await call(cp, id, ["base"]))).toEqual([]);
    expect(await value(cp, await call(cp, id, ["small"]))).toEqual(["base"]);
    expect((await getFile(cp, volumeId, "base")).toString()).toBe("numbers");
    const { function: told } = await cp.functionGetById({ functionId: id });
    expect(told?.rankedFunctions[0]?.function?.volumeMounts).toMatchObject(volumeMounts);
  });

  test("a function that writes where the reports go does no harm", async () => {
    const { cp, id } = await start();

    expect(await value(cp, await call(cp, id("meddle")))).toBe("done");
  });

  test("coroutines are awaited", async () => {
    const { cp, id } = await start();

    expect(await value(cp, await call(cp, id("later")))).toBe("later");
  });

  test("a function sees no secret of ours, not even in /proc, and works in a directory that goes away", async () => {
    const before = { ...process.env };
    Object.assign(process.env, {
      MODAL_TOKEN_SECRET: "s",
      MIRUMOJI_API_TOKEN: "s",
      MIRUMOJI_REDIS_URL: "s",
      BOARD_USERS: "s",
      OTHER: "s",
      MIRUMOJI_X: "x",
    });
    const { cp, id, dataDir } = await start();
    const answer = await value(cp, await call(cp, id("environment"))).finally(() => (process.env = before));

    const [environment, directory, files, started] = answer as [
      Record<string, string>,
      string,
      string[],
      string,
    ];
    expect(Object.values(environment)).not.toContain("s");
    expect(started).toContain("MIRUMOJI_X=x");
    expect(started.split("\0").filter((entry) => entry.endsWith("=s"))).toEqual([]);
    expect(environment).toMatchObject({ MIRUMOJI_X: "x", HOME: process.env["HOME"] });
    expect(files).toEqual([]);
    expect(directory.startsWith(join(dataDir, "scratch"))).toBe(true);
    await expect.poll(() => existsSync(directory)).toBe(false);
  });

  test("nothing that a function left in the background goes on", async () => {
    const { cp, id } = await start();

    const pid = (await value(cp, await call(cp, id("background")))) as number;

    await expectGone([pid]);
  });

  test("closing the host leaves no process", async () => {
    const { host, cp, id, directory } = await start();
    const file = join(directory, "pids");
    await call(cp, id("slow"), [file, 60]);
    const running = await pids(file);

    await host.close();

    await expectGone(running);
  });

  test("a function that is registered anew runs its new code", async () => {
    const { cp, id, appId } = await start();
    const old = id("later");
    const data = Buffer.from("def later():\n    return 'new'\n");
    const sha256Hex = sha256(data).toString("hex");
    await cp.mountPutFile({ sha256Hex, data });
    const files = [{ filename: "/root/pkg/handler.py", sha256Hex }];
    const { mountId } = await cp.mountGetOrCreate({ objectCreationType: 4, appId, files });
    const image = { dockerfileCommands: ["FROM example/image:1"] };
    const { imageId } = await cp.imageGetOrCreate({ appId, image, builderVersion: "2025.06" });

    await cp.functionCreate({
      appId,
      existingFunctionId: old,
      function: {
        moduleName: "pkg.handler",
        functionName: "later",
        functionType: 2,
        definitionType: 2,
        imageId,
        mountIds: [mountId],
        supportedInputFormats: [4],
        supportedOutputFormats: [4],
      },
    });

    expect(await value(cp, await call(cp, old))).toBe("new");
  });
});

test("a handler reads and writes its volume through the stand-in for Modal's package", async () => {
  const { host, cp, dataDir } = await start();
  const source = `
import io, modal

def work(vol_fp, vol_id):
    volume = modal.Volume.from_id(vol_id)
    def error(action):
        try:
            action()
        except BaseException as error:
            return type(error).__name__
    def put(path, force):
        with volume.batch_upload(force=force) as batch:
            batch.put_file(io.BytesIO(b"second"), path)
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(b"first"), "/out/a")
        batch.put_file(__file__, "out/b")
    errors = [
        error(lambda: put("out/a", False)),
        error(lambda: volume.listdir("../..")),
        error(lambda: put("../outside", True)),
        error(lambda: list(volume.read_file("nothing"))),
        error(lambda: modal.Volume.from_id("vo-unknown").listdir("/")),
        error(lambda: modal.Volume.from_id("vo-x/../../..").listdir("/")),
    ]
    put("out/a", True)
    buffer = io.BytesIO()
    size = volume.read_file_into_fileobj("out/a", buffer)
    volume.remove_file("out/b")
    return [errors, size, buffer.getvalue(), [entry.path for entry in volume.listdir("/", recursive=True)]]
`;
  const { functions } = await register(cp, source, ["work"]);
  const { volumeId } = await cp.volumeGetOrCreate({ objectCreationType: 5, version: 2 });
  await writeFile(join(dataDir, "volumes", volumeId, "files", "in"), "input");

  const result = await value(cp, await call(cp, functions["work"] ?? "", ["in"], { vol_id: volumeId }));

  expect(result).toEqual([
    [
      "FileExistsError",
      "InvalidError",
      "InvalidError",
      "FileNotFoundError",
      "NotFoundError",
      "NotFoundError",
    ],
    6,
    Buffer.from("second"),
    ["in", "out", "out/a"],
  ]);
  expect(host.stats().calls.list.at(-1)).toMatchObject({ function: "work", volumeId, path: "in" });
});
