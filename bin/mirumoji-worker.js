#!/bin/sh
//usr/bin/env true; UV_THREADPOOL_SIZE="${UV_THREADPOOL_SIZE:-16}" exec node --max-semi-space-size=4 "$0" "$@"
// The line above is a comment to JavaScript and starts Node to the shell, with a young generation that stays small
// (docs/architecture.md). `env -S` in the first line would do it, but Alpine's env knows no -S.
import { existsSync } from "node:fs";

const entry = new URL("../dist/cli.js", import.meta.url);
if (existsSync(entry)) {
  await import(entry.href);
} else {
  process.stderr.write("mirumoji-worker is not built yet; run: npm ci\n");
  process.exitCode = 1;
}
