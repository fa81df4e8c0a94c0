import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { GpuHost } from "../../src/gpu-host/host.ts";
import { openModalSession } from "../../src/modal/rpc/session.ts";
import { modalVolumes } from "../../src/modal/volumes/volumes.ts";
import { SAMPLE } from "../../support/dev.ts";
import {
  connect,
  getFile,
  putFile,
  startHost,
  temporaryDirectory,
  undoAll,
} from "../helpers/gpu-host/host.ts";
import { pythonWithSdk } from "../../support/python-sdk.ts";

const repo = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const run = promisify(execFile);
const { signal } = new AbortController();

const endingSchema = z.object({
  exitCode: z.number(),
  output: z.string(),
  asked: z.array(z.string()),
  strangers: z.array(z.string()),
  taskResults: z.array(z.tuple([z.number(), z.string()])),
  outputs: z.array(
    z.object({
      status: z.number(),
      exception: z.string(),
      format: z.number(),
      value: z.record(z.string(), z.unknown()).nullable(),
      afterCancel: z.number().nullable(),
    }),
  ),
});

interface ContainerJob {
  readonly module: string;
  readonly function: string;
  readonly args: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** Seconds after which Modal would tell the container to stop the input. */
  readonly cancelAfter?: number;
}

const sdk = await pythonWithSdk();
if ("missing" in sdk) console.warn(`Modal's container entrypoint is not run. ${sdk.missing}`);

afterEach(undoAll);

/** Mounts a module of ours as Modal would, and calls a function of it in Modal's own entrypoint. */
async function runInContainer(host: GpuHost, job: ContainerJob) {
  const importRoot = await temporaryDirectory();
  if (job.module === "mirumoji_gpu") {
    await cp(repo("container/mirumoji_gpu"), join(importRoot, "mirumoji_gpu"), { recursive: true });
  } else {
    await copyFile(repo(`container/${job.module}.py`), join(importRoot, `${job.module}.py`));
  }
  const script = repo("test/helpers/gpu-host/fixtures/python_sdk/container.py");
  const argument = JSON.stringify({ kwargs: {}, ...job, importRoot });
  const { stdout } = await run("python" in sdk ? sdk.python : "python3", ["-B", script, argument], {
    env: {
      PATH: process.env["PATH"],
      UPSTREAM_SERVER_URL: host.serverUrl,
      UPSTREAM_TOKEN_ID: host.tokenId,
      UPSTREAM_TOKEN_SECRET: host.tokenSecret,
    },
  });
  const ending = endingSchema.parse(JSON.parse(stdout));
  expect(ending.strangers, "requests that are not a container's").toEqual([]);
  return ending;
}

/** The sample forty times over, so that no machine finishes before the cancel. */
async function longInput(): Promise<string> {
  const path = join(await temporaryDirectory(), "long.mkv");
  await run("ffmpeg", ["-v", "error", "-stream_loop", "39", "-i", SAMPLE, "-c", "copy", path]);
  return path;
}

async function hostWithInput(localPath: string = SAMPLE) {
  const host = await startHost();
  const volumes = modalVolumes(openModalSession(host));
  const { volumeId } = await volumes.create({ signal });
  await volumes.putFile({ volumeId, remotePath: "job-1/in.mp4", localPath, signal });
  return { host, volumeId };
}

describe.skipIf("missing" in sdk)(
  "our handler in Modal's own container entrypoint",
  { timeout: 180_000 },
  () => {
    test("converts: reads the volume by its ID and writes the result into it", async () => {
      const { host, volumeId } = await hostWithInput();
      const { outputs, asked, exitCode, output } = await runInContainer(host, {
        module: "mirumoji_gpu",
        function: "convert",
        args: [
          "job-1/in.mp4",
          volumeId,
          { resolution: "320x180", target_bitrate: "300k", preset: "performance" },
        ],
      });
      expect({ exitCode, outputs }, output).toMatchObject({
        exitCode: 0,
        outputs: [{ status: 1, format: 4, value: { v: 1, ok: true } }],
      });
      const file = z
        .object({ path: z.string(), bytes: z.number(), sha256: z.string() })
        .parse(outputs[0]?.value);
      const written = await getFile(connect(host), volumeId, file.path);
      expect(written.length).toBe(file.bytes);
      expect(createHash("sha256").update(written).digest("hex")).toBe(file.sha256);
      expect(written.subarray(4, 8).toString()).toBe("ftyp");
      expect(asked).toEqual(
        expect.arrayContaining(["ContainerHello", "FunctionGetInputs", "FunctionPutOutputs"]),
      );
      expect(asked).toEqual(expect.arrayContaining(["VolumeGetById", "VolumeGetFile2", "VolumePutFiles2"]));
      expect(output).toContain('MIRUMOJI {"stage"');
    });

    test("transcribes", async () => {
      const { host, volumeId } = await hostWithInput();
      const { outputs, output } = await runInContainer(host, {
        module: "mirumoji_gpu",
        function: "transcribe",
        args: ["job-1/in.mp4", volumeId, "segments"],
        kwargs: { w_model_args: {}, w_transcribe_args: { language: "en" } },
      });
      expect(outputs, output).toMatchObject([{ status: 1, value: { v: 1, ok: true } }]);
      const { path } = z.object({ path: z.string() }).parse(outputs[0]?.value);
      const segments = JSON.parse((await getFile(connect(host), volumeId, path)).toString()) as unknown;
      expect(JSON.stringify(segments)).toMatch(/good morning/i);
    });

    test("says what is wrong with its input, as a value where the caller can mend it", async () => {
      const { host, volumeId } = await hostWithInput();
      await putFile(connect(host), volumeId, "job-1/notes.mp4", Buffer.from("no film"));
      const convert = async (path: string) =>
        await runInContainer(host, {
          module: "mirumoji_gpu",
          function: "convert",
          args: [path, volumeId, {}],
        });
      const notMedia = await convert("job-1/notes.mp4");
      expect(notMedia.outputs, notMedia.output).toMatchObject([
        { status: 1, value: { ok: false, error: { code: "INPUT_NOT_MEDIA" } } },
      ]);
      const missing = await convert("job-1/missing.mp4");
      expect(missing.outputs, missing.output).toMatchObject([
        { status: 2, exception: expect.stringContaining("FileNotFoundError"), value: null },
      ]);
    });

    test("stops its engine when Modal cancels the input", async () => {
      const { host, volumeId } = await hostWithInput(await longInput());
      const { outputs, output } = await runInContainer(host, {
        module: "mirumoji_gpu",
        function: "transcribe",
        args: ["job-1/in.mp4", volumeId, "segments"],
        kwargs: { w_model_args: {}, w_transcribe_args: { language: "en" } },
        cancelAfter: 4,
      });
      expect(outputs, output).toMatchObject([{ status: 3, exception: "", value: null }]);
      expect(outputs[0]?.afterCancel).toBeLessThan(5);
    });

    test("stops a function that sleeps, too", async () => {
      const { host, volumeId } = await hostWithInput();
      const { outputs, output } = await runInContainer(host, {
        module: "canary",
        function: "hold",
        args: ["holding", volumeId, 60],
        cancelAfter: 3,
      });
      expect(outputs, output).toMatchObject([{ status: 3, exception: "" }]);
      expect(outputs[0]?.afterCancel).toBeLessThan(5);
      expect((await getFile(connect(host), volumeId, "holding")).toString()).toBe("running");
    });

    test("the canary finds its file and gives back what it was given", async () => {
      const { host, volumeId } = await hostWithInput();
      const { outputs, output } = await runInContainer(host, {
        module: "canary",
        function: "canary",
        args: ["job-1/in.mp4", volumeId, { wide: 2 ** 40, none: null }],
      });
      expect(outputs, output).toMatchObject([
        { status: 1, format: 4, value: { value: { wide: 2 ** 40, none: null }, client: "1.5.4" } },
      ]);
    });
  },
);
