import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { redactValue } from "../telemetry/redact.ts";
import { MirumojiError } from "../job/errors.ts";
import { problemOf } from "./v1/problem.ts";

/** For what is no page: nothing in it may be loaded or run, and no page may show it in a frame. */
const NO_PAGE = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

const HEADERS = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
};

/** Headers of every answer, errors included; a page brings a policy of its own. */
export function hardenReplies(server: FastifyInstance): void {
  server.addHook("onSend", async (_request, reply) => {
    if (!reply.hasHeader("content-security-policy")) reply.header("content-security-policy", NO_PAGE);
    reply.headers(HEADERS);
    await Promise.resolve();
  });
}

/** The answer to what is no request at all (an address that cannot be read), which passes no hook. */
export function answerNoRequest({ message }: Error, { url }: FastifyRequest, reply: FastifyReply): void {
  const text = message.slice(0, 200);
  void reply.code(400).headers({ ...HEADERS, "content-security-policy": NO_PAGE });
  if (!url.startsWith("/v1/")) return void reply.send({ error: { message: text } });
  const problem = { ...problemOf(new MirumojiError("REQUEST_INVALID", text)), status: 400 };
  void reply.type("application/problem+json").serializer(JSON.stringify).send(problem);
}

/** Takes secrets out of every JSON document that the routes of this scope answer with. */
export function redactReplies(scope: FastifyInstance, redact: (text: string) => string): void {
  scope.addHook(
    "preSerialization",
    async (_request, _reply, payload) => await Promise.resolve(redactValue(payload, redact)),
  );
}
