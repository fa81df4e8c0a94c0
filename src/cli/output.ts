import { MirumojiError, toMirumojiError } from "../job/errors.ts";

/** Writes the one JSON document of a `--json` command. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Writes text for people. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Writes everything but the result: progress, hints, warnings. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Shows why a command failed and sets the exit code; with `--json` the error is the one document. */
function fail(thrown: unknown, json: boolean): void {
  const error = toMirumojiError(thrown);
  note(`${error.code}: ${error.message}`);
  if (!(thrown instanceof MirumojiError) && thrown instanceof Error && thrown.stack !== undefined)
    note(thrown.stack);
  if (json) printJson({ error: { code: error.code, message: error.message } });
  process.exitCode = 1;
}

/** Wraps a command's action so that errors are shown and never thrown further. */
export function guarded<A extends unknown[]>(
  json: (...args: A) => boolean,
  action: (...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args);
    } catch (error) {
      fail(error, json(...args));
    }
  };
}
