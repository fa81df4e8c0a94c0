/**
 * Hands over one file and waits for its subtitles.
 *
 *   REDIS_URL=redis://127.0.0.1:6379 npx tsx examples/transcribe.ts film.mkv en
 */
import { createClient } from "mirumoji-worker";

const [input = "film.mkv", language = "ja"] = process.argv.slice(2);
await using client = await createClient({ redisUrl: process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379" });

const { id } = await client.submit("transcribe", { input, language, formats: ["srt", "vtt"] });
let shown = "";
const job = await client.wait(id, {
  onChange: ({ state }) => {
    if (state !== shown) process.stderr.write(`${state}\n`);
    shown = state;
  },
});

if (job.status === "completed") {
  for (const { path, bytes } of job.outputs) process.stdout.write(`${path} ${bytes}\n`);
} else {
  process.stderr.write(`${job.error?.code}: ${job.error?.message}\n`);
  process.exitCode = 1;
}
