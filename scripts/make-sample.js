// Makes samples/hello-mirumoji.mp4 and the words that it speaks, with nothing but ffmpeg (built with flite).
// The sentences are ones that PocketSphinx, the smallest engine, recognises word for word in this voice, so that
// the demo and the tests can say what must come out. Usage: node scripts/make-sample.js
import { execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const VOICE = "slt";
const LEAD_MS = 1000;
const PAUSE_SECONDS = 0.9;
const SENTENCES = [
  "Good morning, and welcome to the program.",
  "Today we talk about the weather in the north.",
  "Please open the window and close the door.",
  "Thank you for listening, and have a good day.",
];
const KEYWORDS = ["morning", "welcome", "program", "weather", "north", "window", "door", "listening", "day"];

const samples = fileURLToPath(new URL("../samples/", import.meta.url));
const video = join(samples, "hello-mirumoji.mp4");
const work = mkdtempSync(join(tmpdir(), "mirumoji-sample-"));
const run = (program, args) =>
  execFileSync(program, args, { cwd: work, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

try {
  mkdirSync(samples, { recursive: true });
  // One file per sentence, with relative names: text and paths inside an ffmpeg filter would need escaping.
  const voices = SENTENCES.flatMap((sentence, index) => {
    writeFileSync(join(work, `${index}.txt`), sentence);
    return ["-f", "lavfi", "-i", `flite=textfile=${index}.txt:voice=${VOICE}`];
  });
  const padded = SENTENCES.map(
    (_, index) => `[${index}:a]aresample=48000,apad=pad_dur=${PAUSE_SECONDS}[s${index}]`,
  );
  const joined = SENTENCES.map((_, index) => `[s${index}]`).join("");
  const concat = `${joined}concat=n=${SENTENCES.length}:v=0:a=1,adelay=${LEAD_MS}:all=1[voice]`;
  const graph = [...padded, concat].join(";");
  run("ffmpeg", ["-v", "error", ...voices, "-filter_complex", graph, "-map", "[voice]", "voice.wav"]);
  const show = ["-show_entries", "format=duration", "-of", "csv=p=0"];
  const seconds = run("ffprobe", ["-v", "error", ...show, "voice.wav"]).trim();
  const h264 = ["-c:v", "libx264", "-preset", "slow", "-crf", "34", "-threads", "1", "-pix_fmt", "yuv420p"];
  const aac = ["-c:a", "aac", "-b:a", "64k", "-ac", "1", "-metadata:s:a:0", "language=eng"];
  // Without the encoder's version and the date, the same ffmpeg makes the same bytes.
  const bitexact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"];
  const inputs = ["-f", "lavfi", "-t", seconds, "-i", "testsrc2=size=640x360:rate=25", "-i", "voice.wav"];
  run("ffmpeg", [
    "-v",
    "error",
    "-y",
    ...inputs,
    ...h264,
    ...aac,
    ...bitexact,
    "-movflags",
    "+faststart",
    video,
  ]);
  const firstSentence = ["-i", video, "-t", "4", "-c", "copy", ...bitexact, "-movflags", "+faststart"];
  run("ffmpeg", ["-v", "error", "-y", ...firstSentence, join(samples, "hello-short.mp4")]);
  const text = SENTENCES.join(" ");
  writeFileSync(
    join(samples, "hello-mirumoji.json"),
    `${JSON.stringify({ language: "en", text, keywords: KEYWORDS }, null, 2)}\n`,
  );
  console.log(`${video}: ${statSync(video).size} bytes`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
