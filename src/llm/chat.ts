import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** Any endpoint with OpenAI's chat completions. */
export interface ChatTarget {
  /** Address up to `/chat/completions`, such as `https://api.openai.com/v1`. */
  readonly url: string;
  readonly key?: string | undefined;
  readonly model: string;
}

export interface ChatAnswer<T> {
  /** Null when no try gave a usable one. */
  readonly value: T | null;
  readonly problem: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

const TRIES = 3;
const FIRST_PAUSE_MS = 500;
const REQUEST_MS = 120_000;
const LONGEST_ANSWER_CHARS = 4 * 2 ** 20;
const QUOTED_CHARS = 200;

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
  usage: z
    .object({ prompt_tokens: z.number().nonnegative(), completion_tokens: z.number().nonnegative() })
    .nullish(),
});

/**
 * Asks until an answer is usable; `read` throws otherwise. Every try is counted, also one whose answer is of no use.
 * Throws only when `signal` aborts.
 */
export async function askChat<T>(
  target: ChatTarget,
  messages: readonly { readonly role: "system" | "user"; readonly content: string }[],
  { read, signal }: { readonly read: (content: string) => T; readonly signal: AbortSignal },
): Promise<ChatAnswer<T>> {
  const used = { inputTokens: 0, outputTokens: 0 };
  let problem = "";
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    if (attempt > 1) await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), undefined, { signal });
    try {
      const { choices, usage } = await post(target, messages, signal);
      used.inputTokens += usage?.prompt_tokens ?? 0;
      used.outputTokens += usage?.completion_tokens ?? 0;
      return { value: read(choices[0]?.message.content ?? ""), problem: "", ...used };
    } catch (error) {
      signal.throwIfAborted();
      problem = shown(error, target);
      if (error instanceof Refused) break;
    }
  }
  return { value: null, problem, ...used };
}

/** An answer that another try would give again. */
class Refused extends Error {}

async function post(
  { url, key, model }: ChatTarget,
  messages: readonly object[],
  signal: AbortSignal,
): Promise<z.output<typeof answerSchema>> {
  const response = await fetch(`${url.replace(/\/$/u, "")}/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify({ model, messages, temperature: 0, response_format: { type: "json_object" } }),
    redirect: "error",
    signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]),
  });
  const text = await response.text();
  if (!response.ok) {
    const what = `HTTP ${response.status}: ${text.slice(0, QUOTED_CHARS)}`;
    const isPassing = response.status >= 500 || response.status === 429 || response.status === 408;
    throw isPassing ? new Error(what) : new Refused(what);
  }
  if (text.length > LONGEST_ANSWER_CHARS) throw new Error("the answer is too long");
  return answerSchema.parse(JSON.parse(text));
}

function shown(error: unknown, { key }: ChatTarget): string {
  const text = error instanceof z.ZodError ? "the answer is not a chat completion" : messageOf(error);
  return (key === undefined ? text : text.replaceAll(key, "[redacted]")).slice(0, 2 * QUOTED_CHARS);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== ""
    ? `${error.message}: ${cause.message}`
    : error.message;
}
