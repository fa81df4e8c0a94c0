import { createHash } from "node:crypto";
import { FileDescriptor, Namespace, ResultStatus } from "../enums.ts";
import { notFound, notServed } from "../failures.ts";
import type { Services } from "../services.ts";
import type { ImageRecord } from "../store/records.ts";
import type { Handlers } from "../wire.ts";
import { requireSecret } from "./secrets.ts";
import { IMAGE_BUILDER_VERSION } from "./session.ts";

/** Images are accepted and remembered, not built: functions run in this machine's own environment. */
export function imageRpcs(services: Services): Handlers<"imageGetOrCreate" | "imageJoinStreaming"> {
  const { state, apps, faults, now } = services;
  return {
    async imageGetOrCreate({ image, appId, forceBuild, builderVersion, namespace }) {
      apps.running(appId);
      const isModals = namespace === Namespace.GLOBAL;
      const from = baseImage(image?.dockerfileCommands ?? [], image?.baseImages.length ?? 0, isModals);
      const secretId = image?.imageRegistryConfig?.secretId ?? "";
      if (secretId !== "") requireSecret(services, secretId);
      const version = builderVersion === "" ? IMAGE_BUILDER_VERSION : builderVersion;
      const id = `im-${createHash("sha256")
        .update(JSON.stringify([from, version]))
        .digest("hex")
        .slice(0, 22)}`;
      const known = forceBuild ? undefined : state.images.get(id);
      const record = known ?? state.images.put({ id, from, builderVersion: version, built: false });
      if (!record.built) return { imageId: id };
      return { imageId: id, result: { status: ResultStatus.SUCCESS }, metadata: metadata(record) };
    },

    async *imageJoinStreaming({ imageId, lastEntryId }) {
      const record = state.images.get(imageId);
      if (record === undefined) throw notFound(`Image ${imageId}`);
      const failure = faults.image();
      const lines = [
        `The GPU host takes this machine for ${record.from}\n`,
        failure === undefined ? "Nothing to build\n" : `${failure}\n`,
      ];
      for (const [index, data] of lines.entries()) {
        const entryId = `${index + 1}-0`;
        if (entryId <= lastEntryId) continue;
        yield { entryId, taskLogs: [{ data, fileDescriptor: FileDescriptor.INFO, timestamp: now() / 1000 }] };
      }
      const entryId = `${lines.length + 1}-0`;
      if (failure !== undefined) {
        yield { entryId, result: { status: ResultStatus.FAILURE, exception: failure } };
        return;
      }
      state.images.put({ ...record, built: true });
      yield { entryId, result: { status: ResultStatus.SUCCESS }, metadata: metadata(record) };
    },
  };
}

/** The image that a recipe is made of, if that is all it does. Modal's own base images are plain Python. */
function baseImage(commands: readonly string[], baseImages: number, isModals: boolean): string {
  const [first = "", ...rest] = commands;
  const from = /^FROM\s+(\S+)$/i.exec(first.trim())?.[1];
  if (from === undefined || baseImages > 0 || (rest.length > 0 && !isModals)) {
    throw notServed(
      "image builds. Install what a function needs on this machine, and use Image.debian_slim() or a registry image as it is",
    );
  }
  return from;
}

function metadata(image: ImageRecord) {
  return { imageBuilderVersion: image.builderVersion };
}
