import { expect, it } from "vitest";
import { createTextEditor } from "../../src/llm/editor.ts";
import { type Line, startLanguageModel } from "../helpers/language-model.ts";

const KEY = "sk-very-secret";
const sentences = Array.from({ length: 45 }, (_, n) => `sentence ${n}`);
const upper = (lines: readonly Line[]) => lines.map(({ id, text }) => ({ id, text: text.toUpperCase() }));

async function edit(
  answer: Parameters<typeof startLanguageModel>[0],
  { texts = sentences, translateTo = null }: { texts?: string[]; translateTo?: string | null } = {},
) {
  await using server = await startLanguageModel(answer);
  const editor = createTextEditor({ url: server.url, key: KEY, model: "m" }, { input: 2, output: 10 });
  const signal = AbortSignal.timeout(20_000);
  const done = await editor.edit({ texts, language: "ja", fix: true, translateTo, signal });
  return { done, requests: server.requests };
}

it("edits all sentences in batches, shows those before, and counts tokens and USD", async () => {
  const { done, requests } = await edit(({ lines }) => upper(lines).toReversed());
  expect(done.texts).toEqual(sentences.map((text) => text.toUpperCase()));
  expect(done.usage).toEqual({ inputTokens: 200, outputTokens: 100, usd: 0.0014 });
  expect([done.warnings, done.isEdited.every(Boolean)]).toEqual([[], true]);
  expect(requests.map(({ asked }) => asked.lines.length)).toEqual([40, 5]);
  expect(requests[1]?.asked.before).toEqual(sentences.slice(35, 40));
  expect(requests[0]).toMatchObject({ authorization: `Bearer ${KEY}`, model: "m" });
});

it.each<[string, (lines: Line[], request: number) => ReturnType<Parameters<typeof startLanguageModel>[0]>]>([
  ["an error of the server", (lines, n) => (n === 1 ? { status: 503, body: "busy" } : upper(lines))],
  ["a sentence too few", (lines, n) => (n === 1 ? upper(lines).slice(1) : upper(lines))],
  ["an ID twice", (lines, n) => upper(lines).map((line) => (n === 1 ? { ...line, id: 1 } : line))],
  ["an empty sentence", (lines, n) => upper(lines).map((line) => (n === 1 ? { ...line, text: " " } : line))],
  [
    "a novel",
    (lines, n) => upper(lines).map((line) => (n === 1 ? { ...line, text: "x".repeat(999) } : line)),
  ],
  [
    "no JSON",
    (lines, n) => (n === 1 ? "Sure!" : `\`\`\`json\n${JSON.stringify({ lines: upper(lines) })}\n\`\`\``),
  ],
])("asks again after %s", async (_what, answer) => {
  const { done, requests } = await edit(({ lines }, n) => answer(lines, n), { texts: ["a", "b"] });
  expect(done.texts).toEqual(["A", "B"]);
  expect(requests).toHaveLength(2);
});

it("leaves what it cannot edit as it was, with a warning that holds no key", async () => {
  const refusing = { status: 401, body: `no such key: ${KEY}` };
  const { done, requests } = await edit(({ lines }) => (lines.length === 40 ? refusing : upper(lines)));
  expect(requests).toHaveLength(2);
  expect(done.texts).toEqual([
    ...sentences.slice(0, 40),
    ...sentences.slice(40).map((text) => text.toUpperCase()),
  ]);
  expect(done.isEdited.filter(Boolean)).toHaveLength(5);
  expect(done.warnings).toEqual([
    "the language model: not corrected: sentences 1 to 40: HTTP 401: no such key: [redacted]",
  ]);
});

it("translates everything or nothing", async () => {
  const { done } = await edit(
    ({ lines }) => (lines.length === 5 ? { status: 400, body: "" } : upper(lines)),
    {
      translateTo: "en",
    },
  );
  expect(done.texts).toEqual(sentences);
  expect([done.isEdited.some(Boolean), done.warnings.length, done.usage.inputTokens]).toEqual([
    false,
    1,
    100,
  ]);
});
