#!/usr/bin/env -S node --max-semi-space-size=4
import { existsSync } from "node:fs";

const entry = new URL("../dist/cli.js", import.meta.url);
if (existsSync(entry)) {
  await import(entry.href);
} else {
  process.stderr.write("mirumoji-worker is not built yet; run: npm ci\n");
  process.exitCode = 1;
}
