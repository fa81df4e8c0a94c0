import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Folders whose files take longest: they begin first, so that none is left to run alone at the end. */
const LONGEST = ["test/crash/", "test/e2e/", "test/handler/", "test/telemetry/", "test/media/"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.findIndex((folder) => moduleId.includes(`/${folder}`));
      return at < 0 ? LONGEST.length : at;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- a method of the sequencer
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rank(one) - rank(other));
  }
}

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

/** Of those, the tests that replace modules or measure their process. */
const NEED_THEIR_OWN_PROCESS = ["test/media/output-safety.test.ts", "test/modal/calls/many-calls.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests wait for half of their time, for leases and processes: four fill two cores.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
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
          exclude: NEED_THEIR_OWN_PROCESS,
          // A tenth of the suite's time is loading modules, which isolated files repeat.
          isolate: false,
          globalSetup: ["test/helpers/global-setup.ts"],
          setupFiles: ["test/helpers/own-environment.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "isolated",
          include: NEED_THEIR_OWN_PROCESS,
          globalSetup: ["test/helpers/global-setup.ts"],
        },
      },
    ],
  },
});
