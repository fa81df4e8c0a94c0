import type { RunnerTools } from "../src/runner/job-run.ts";

/** Steps without cost, so that only the machine and the queue are measured. */
export function instantTools(): RunnerTools {
  let serial = 0;
  const next = (kind: string) => `${kind}-${(serial += 1)}`;
  return {
    now: Date.now,
    random: Math.random,
    price: () => ({ gpu: "own", asOf: "2026-05-07", usdPerSecond: 0 }),
    budget: {},
    emit: () => undefined,
    platform: { report: async () => await Promise.resolve(true) },
    callDeadlineMs: 60_000,
    queueWaitMs: 3_600_000,
    jobDeadlineMs: 60_000,
    uploadAudioOnly: "auto",
    models: { allowed: [] },
    engines: async () => await Promise.resolve(null),
    editor: null,
    cacheSeconds: 0,
    cacheMark: "",
    parallel: { containers: 1, startSeconds: 20 },
    partCalls: {
      open: async () => await Promise.resolve({ callId: next("fc"), started: false }),
      start: async () => await Promise.resolve(),
      poll: async () => await Promise.resolve({ outputs: [], cursor: "0-0", unfinished: 0, inputs: 0 }),
    },
    transcripts: { put: async () => await Promise.resolve(), get: async () => await Promise.resolve(null) },
    runtime: async () =>
      await Promise.resolve({
        appId: "ap-1",
        functionId: (type) => `fu-${type}`,
        remuxId: null,
        takesParts: true,
        imageFunctions: {},
      }),
    volumes: {
      create: async () => await Promise.resolve({ volumeId: next("vo") }),
      putFile: async () => await Promise.resolve({ sizeBytes: 1, sentBytes: 1 }),
      putStream: async () => await Promise.resolve({ sizeBytes: 1, sentBytes: 1 }),
      getFile: async () => await Promise.resolve({ sizeBytes: 1, fetchedBytes: 1 }),
      readFile: async () => await Promise.resolve(Buffer.alloc(1)),
      heartbeat: async () => await Promise.resolve(),
      delete: async () => await Promise.resolve(),
    },
    calls: {
      openAhead: () => undefined,
      open: async () => await Promise.resolve({ callId: next("fc"), started: false }),
      start: async () => await Promise.resolve(),
      poll: async () =>
        await Promise.resolve({
          kind: "succeeded" as const,
          value: { v: 1, ok: true, path: "o", encoder: "none", mediaSeconds: 1, gpuSeconds: 1, warnings: [] },
          runSeconds: 1,
        }),
      cancel: async () => await Promise.resolve(),
      followLogs: async () => await Promise.resolve(),
    },
    apps: { heartbeat: async () => await Promise.resolve() },
    media: {
      openInput: async () =>
        await Promise.resolve({
          localPath: "/dev/null",
          seconds: null,
          track: null,
          warnings: [],
          openAudio: async () => await Promise.resolve(null),
          [Symbol.asyncDispose]: async () => await Promise.resolve(),
        }),
      checkOutputs: async ({ outputs }) => await Promise.resolve(outputs.map(({ path }) => path)),
      writeOutputs: async ({ outputs }) =>
        await Promise.resolve(
          outputs.map(({ output: { path, format } }) => ({ path, format, bytes: 1, sha256: "0".repeat(64) })),
        ),
      removePartialOutputs: async () => await Promise.resolve(),
    },
  };
}
