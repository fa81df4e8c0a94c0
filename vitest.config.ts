import { defineConfig } from "vitest/config";

/**
 * Tests that start a server or a program. All others are unit tests: `npm run test:unit` runs them alone, and
 * test/helpers/unit-guard.ts fails one that starts a process or listens on a port.
 */
const NEEDS_PROCESSES = [
  "test/{cli,crash,e2e,gpu-host,handler,http,media,net,queue}/**/*.test.ts",
  "test/repo/{build,chart,ci,compose,gates,setup}.test.ts",
  "test/telemetry/{live,logger,metrics,rules,traces,tracing,unseen-ends,untraced}.test.ts",
  "test/modal/**/{calls,calls-scripted,canary,deploy,existing,many-calls,part-calls,registration,session,volumes}.test.ts",
  "test/modal/**/{block-store,block-worker,direct-get,download-urls,upload-rounds}.test.ts",
];

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests wait for half of their time, for leases and processes: a third worker fills two cores.
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: NEEDS_PROCESSES,
          // Half of the time of small test files is loading modules, which isolated files repeat.
          isolate: false,
          setupFiles: ["test/helpers/unit-guard.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "processes",
          include: NEEDS_PROCESSES,
          globalSetup: ["test/helpers/global-setup.ts"],
        },
      },
    ],
  },
});
