import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { testFolder } from "../../support/folder.ts";
import { pythonReferees, type Referees } from "../../support/python-referees.ts";
import { completed, startTestServer, type TestServer } from "../helpers/http/server.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SEGMENTS = JSON.stringify({
  v: 1,
  language: "en",
  segments: [
    { start: 1, end: 2, text: "Good morning." },
    { start: 2, end: 3, text: "Welcome." },
  ],
});

let referees: Referees;
let server: TestServer;
let key: string;
beforeAll(async () => {
  referees = await pythonReferees();
  if ("missing" in referees)
    process.stderr.write(`referees of the HTTP API are skipped: ${referees.missing}\n`);
  server = await startTestServer();
  key = await server.key();
}, 240_000);
afterAll(async () => await server[Symbol.asyncDispose]());

/** Runs a Python program; on failure what it printed is the message. */
async function python(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const program = "bin" in referees ? join(referees.bin, "python3") : "python3";
  // Some leave a cache where they run.
  await using folder = await testFolder();
  const options = { env: { ...process.env, ...env }, cwd: folder.path, maxBuffer: 1e8 };
  return await run(program, args, options).then(
    ({ stdout }) => stdout,
    (error: { stdout?: string; stderr?: string }) => {
      throw new Error(`${error.stdout ?? ""}\n${error.stderr ?? ""}`.slice(-4000));
    },
  );
}

it("schemathesis finds nothing in the OpenAPI document", { timeout: 120_000 }, async ({ skip }) => {
  if ("missing" in referees) skip(referees.missing);
  // Events of a job that no worker takes never end.
  const quick = [
    "--exclude-operation-id",
    "followJob",
    "--max-examples",
    "4",
    "--phases",
    "coverage,fuzzing",
  ];
  const header = ["-H", `Authorization: Bearer ${key}`];
  const url = `${server.http.apiUrl}/openapi.json`;
  const report = await python(["-m", "schemathesis.cli", "run", url, ...header, ...quick, "--no-color"]);
  expect(report).not.toMatch(/Failures:|Errors:/u);
});

it("the Python client is typed, and does what it says", async ({ skip }) => {
  if ("missing" in referees) skip(referees.missing);
  const client = join(ROOT, "clients", "python");
  const path = {
    PYTHONPATH: join(client, "src"),
    PYTHONDONTWRITEBYTECODE: "1",
    MYPYPATH: join(client, "src"),
  };
  await python([join(client, "tests", "check.py"), server.http.apiUrl, key], path);
  const nowhere = process.platform === "win32" ? "nul" : "/dev/null";
  const files = [join(client, "src", "mirumoji_client"), join(client, "tests", "check.py")];
  await python(["-m", "mypy", "--strict", "--cache-dir", nowhere, ...files], path);
});

it("the example for BullMQ's Python port submits a job", async ({ skip }) => {
  if ("missing" in referees) skip(referees.missing);
  const printed = await python([join(ROOT, "examples", "producer.py"), "port.mkv"], {
    REDIS_URL: server.redisUrl,
    MIRUMOJI_QUEUE_PREFIX: server.prefix,
  });
  expect(await server.jobs.get(printed.trim())).toMatchObject({ input: "port.mkv", status: "queued" });
  await server.jobs.cancel(printed.trim());
});

it("OpenAI's Python package works unchanged", async ({ skip }) => {
  if ("missing" in referees) skip(referees.missing);
  // Of its own: here the next job that ends must be the one of the request.
  await using own = await startTestServer();
  const program = `
import openai, sys
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key=sys.argv[2])
def ask(format):
    return client.audio.transcriptions.create(model="whisper-1", file=("talk.mp3", b"sound"), language="en", response_format=format)
assert ask("json").text == "Good morning. Welcome.", ask("json")
srt = ask("srt")
assert "00:00:01,000 --> " in srt, srt
heard = ask("verbose_json")
assert (heard.language, len(heard.segments), heard.segments[1].start) == ("en", 2, 2), heard
try:
    ask("json")
except openai.InternalServerError as error:
    assert error.code == "CRASH_BUDGET_SPENT", error
else:
    raise AssertionError("a failed job was answered")
try:
    openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="sk-x", max_retries=0).audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"x"))
except openai.AuthenticationError:
    pass
`;
  const asked = python(["-c", program, own.http.apiUrl, await own.key()]);
  for (const end of ["json", "srt", "verbose_json", "failure"]) {
    const job = await expect
      .poll(async () => (await own.jobs.list({ limit: 1, tag: "openai", status: ["queued"] }))[0], {
        timeout: 20_000,
      })
      .toBeDefined()
      .then(async () => (await own.jobs.list({ limit: 1, tag: "openai", status: ["queued"] }))[0]);
    const path = (job?.input ?? "").replace(/\.mp3$/u, ".json");
    await own.put(path, SEGMENTS);
    const output = { path, format: "json", bytes: SEGMENTS.length, sha256: "0".repeat(64) } as const;
    await own.finish(
      "transcribe",
      end === "failure" ? new Error("CRASH_BUDGET_SPENT: workers died") : completed([output]),
    );
  }
  await asked;
});
