import type { Command } from "commander";
import { deployFunctions } from "../compose/deploy.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, note, print, printJson } from "./output.ts";

interface Options {
  readonly json?: boolean;
  readonly force?: boolean;
}

export function addDeploy(program: Command): void {
  program
    .command("deploy")
    .description("deploy the functions for workers with MODAL_APP_MODE=deployed; nothing when up to date")
    .option("--force", "deploy although nothing changed")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: Options) => json === true,
        async ({ json, force }: Options) => {
          const deployment = await deployFunctions(clientEnvironment().environment, {
            force: force === true,
            onLog: note,
          });
          const { appId, appName, fingerprint, isNew, transcribe, convert } = deployment;
          const functions = { transcribe: transcribe.functionId, convert: convert.functionId };
          if (json === true) printJson({ appId, appName, fingerprint, isNew, functions });
          else {
            print(`${appName} (${appId}) ${isNew ? "is deployed" : "was up to date"}`);
            print(`  ${transcribe.tag}  ${functions.transcribe}\n  ${convert.tag}  ${functions.convert}`);
          }
        },
      ),
    );
}
