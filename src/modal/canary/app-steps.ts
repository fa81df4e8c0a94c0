import { basename, extname } from "node:path";
import { toMirumojiError } from "../../job/errors.ts";
import { createApp, disconnectApp, heartbeatApp, publishApp } from "../apps/app.ts";
import { keepAppAlive } from "../apps/keep-alive.ts";
import { createFunction, type FunctionSpec, precreateFunction } from "../apps/functions.ts";
import { ensureImage } from "../apps/image.ts";
import { createSourceMount, findClientMount } from "../apps/mounts.ts";
import { loadSources } from "../apps/sources.ts";
import { CLIENT_MOUNT_VERSION, IMAGE_BUILDER_VERSION } from "../apps/versions.ts";
import { type CanaryRun, type CanaryStep, insisting, need } from "./step.ts";

const APP_NAME = "mirumoji-canary";

export const APP_STEPS: readonly CanaryStep[] = [
  {
    name: "app",
    run: async (run, signal) => {
      const { appId } = await createApp(run.session, { appName: APP_NAME, state: "ephemeral", signal });
      run.appId = appId;
      const startedAt = performance.now();
      await heartbeatApp(run.session, { appId, signal });
      const heartbeat = keepAppAlive(run.session, {
        appId,
        onBeat: () => (run.heartbeats.answered += 1),
        onError: () => (run.heartbeats.failed += 1),
      });
      run.heartbeats.stop = () => heartbeat.stop();
      return { app: appId, "heartbeat answered in, ms": Math.round(performance.now() - startedAt) };
    },
  },
  {
    name: "client mount",
    run: async (run, signal) => {
      const { mountId } = await findClientMount(run.session, { version: CLIENT_MOUNT_VERSION, signal });
      run.clientMountId = mountId;
      return { version: CLIENT_MOUNT_VERSION, mount: mountId };
    },
  },
  {
    name: "image",
    run: async (run, signal) => {
      let lines = 0;
      const { imageId } = await ensureImage(run.session, {
        appId: need(run, "appId"),
        image: run.image,
        builderVersion: IMAGE_BUILDER_VERSION,
        onLog: () => (lines += 1),
        signal,
      });
      run.imageId = imageId;
      return { from: run.image, builder: IMAGE_BUILDER_VERSION, "lines of build log": lines };
    },
  },
  {
    name: "functions",
    run: async (run, signal) => {
      const appId = need(run, "appId");
      const file = basename(run.handlerPath);
      const sources = await loadSources([{ localPath: run.handlerPath, remotePath: `/root/${file}` }]);
      const { mountId } = await createSourceMount(run.session, { appId, sources, signal });
      const register = async (name: string) =>
        await registerOnCpu(run, specOf(basename(file, extname(file)), name), mountId, signal);
      const functions = [await register("canary"), await register("hold")] as const;
      await publishApp(run.session, { appId, functions, signal });
      const [canary, hold] = functions;
      run.functionIds = { canary: canary.functionId, hold: hold.functionId };
      return { registered: functions.map(({ tag }) => tag).join(", "), gpu: "none" };
    },
  },
];

/** Ends the app, and with it every call that is still there. */
export const END_APP: CanaryStep = {
  name: "end app",
  run: async (run, signal) => {
    run.heartbeats.stop();
    const { appId, session, heartbeats } = run;
    if (appId === undefined) return { nothing: "to do" };
    await insisting(
      `app ${appId} could not be ended; it ends when its heartbeats stay away`,
      signal,
      async () => await disconnectApp(session, { appId, signal }),
    );
    return {
      "heartbeats answered": heartbeats.answered,
      "heartbeats failed": heartbeats.failed,
      "a heartbeat after the end": await heartbeatApp(session, { appId, signal }).then(
        () => "is answered",
        (error: unknown) => toMirumojiError(error).code,
      ),
    };
  },
};

async function registerOnCpu(run: CanaryRun, spec: FunctionSpec, mountId: string, signal: AbortSignal) {
  const appId = need(run, "appId");
  const { functionId } = await precreateFunction(run.session, { appId, spec, signal });
  return await createFunction(run.session, {
    appId,
    appName: APP_NAME,
    functionId,
    imageId: need(run, "imageId"),
    mountIds: [need(run, "clientMountId"), mountId],
    spec,
    resources: {
      gpus: [],
      timeoutSeconds: Math.ceil(run.callWaitMs / 1000),
      scaledownWindowSeconds: 10,
    },
    signal,
  });
}

function specOf(module: string, name: string): FunctionSpec {
  const last = name === "canary" ? "value" : "seconds";
  return {
    tag: name,
    module,
    implementation: name,
    parameters: ["vol_fp", "vol_id", last].map((parameter) => ({ name: parameter, hasDefault: false })),
  };
}
