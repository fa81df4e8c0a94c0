import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

interface Asked {
  readonly system: string;
  readonly lines: { readonly id: number; readonly text: string }[];
  readonly before: string[];
}
export type Line = { id: number; text: string };

/** A chat completions endpoint; `answer` gives the lines of an answer, a whole content, or a status. */
export async function startLanguageModel(
  answer: (
    asked: Asked,
    request: number,
  ) => Line[] | string | { readonly status: number; readonly body: string },
) {
  const requests: {
    readonly asked: Asked;
    readonly authorization: string | undefined;
    readonly model: string;
  }[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      let text = "";
      for await (const chunk of request) text += String(chunk);
      const body = JSON.parse(text) as { model: string; messages: { content: string }[] };
      const [system, user] = body.messages.map(({ content }) => content);
      const asked = { system: system ?? "", ...(JSON.parse(user ?? "") as Omit<Asked, "system">) };
      requests.push({ asked, authorization: request.headers.authorization, model: body.model });
      const given = answer(asked, requests.length);
      if (typeof given === "object" && "status" in given) {
        response.writeHead(given.status).end(given.body);
        return;
      }
      const content = typeof given === "string" ? given : JSON.stringify({ lines: given });
      response.writeHead(request.url === "/v1/chat/completions" ? 200 : 404, {
        "content-type": "application/json",
      });
      const usage = { prompt_tokens: 100, completion_tokens: 50 };
      response.end(JSON.stringify({ choices: [{ message: { content } }], usage }));
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
