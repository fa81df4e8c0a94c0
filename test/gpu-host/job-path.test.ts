import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import {
  call,
  connect,
  getFile,
  newVolume,
  putFile,
  register,
  startHost,
  temporaryDirectory,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

const HANDLER = `
import os
import modal

def transcribe(vol_fp, vol_id, output_format="segments", *, w_model_args=None, w_transcribe_args=None):
    volume = modal.Volume.from_id(vol_id)
    with open("input", "wb") as file:
        volume.read_file_into_fileobj(vol_fp, file)
    print("got", os.path.getsize("input"), flush=True)
    with open("output", "wb") as file:
        file.write(b"transcript of " + b"".join(volume.read_file(vol_fp)))
    with volume.batch_upload(force=True) as batch:
        batch.put_file("output", "/out/" + vol_fp + ".srt")
    return {"outputs": ["out/" + vol_fp + ".srt"], "format": output_format, "args": w_model_args}
`;

test("a job's whole path: volume, upload, two-phase call, download, delete", async () => {
  const dataDir = await temporaryDirectory();
  const host = await startHost({ dataDir });
  const cp = connect(host);
  const { functions } = await register(cp, HANDLER, ["transcribe"]);
  const volumeId = await newVolume(cp);
  await putFile(cp, volumeId, "media/in.mkv", Buffer.from("some speech"));

  const callId = await call(cp, functions["transcribe"] ?? "", ["media/in.mkv", volumeId, "srt"], {
    w_model_args: { model: "base" },
  });

  expect(await value(cp, callId)).toEqual({
    outputs: ["out/media/in.mkv.srt"],
    format: "srt",
    args: { model: "base" },
  });
  expect(String(await getFile(cp, volumeId, "out/media/in.mkv.srt"))).toBe("transcript of some speech");
  await cp.volumeDelete({ volumeId });
  expect(await readdir(join(dataDir, "volumes"))).toEqual([]);
  expect(await (await fetch(host.statsUrl)).json()).toEqual({
    volumes: { live: 0, created: 1, deleted: 1, expired: 0, list: [] },
    calls: {
      started: 1,
      running: 0,
      succeeded: 1,
      failed: 0,
      cancelled: 0,
      list: [
        {
          id: callId,
          function: "transcribe",
          volumeId,
          path: "media/in.mkv",
          status: "succeeded",
          inputs: 1,
        },
      ],
    },
    apps: { live: 1, created: 1 },
    warm: [],
  });
});
