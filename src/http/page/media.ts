import type { FastifyReply, FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { SUBTITLE_FORMATS } from "../../job/contract.ts";
import { MirumojiError } from "../../job/errors.ts";
import type { JobView } from "../../job/summary.ts";
import { findOutput } from "../../media/finished-output.ts";
import { CONTENT_TYPES, sendFile, sendOutput } from "../send-output.ts";
import { SESSION_COOKIE, sessionCookie, tenantOf } from "../v1/access.ts";
import { idParams, visibleJob } from "../v1/jobs.ts";
import type { ApiServices } from "../v1/services.ts";
import { findPlayable } from "./playable.ts";

/** Read by a player or saved by a download: the cookie opens nothing else. */
const BY_COOKIE = { scope: "read", isByCookie: true } as const;
const hidden = { hide: true } as const;

/**
 * Media for the page, by a cookie: `<video>`, `<track>` and downloads can send no key, and an address is no place for one.
 * The cookie goes to these routes only, is out of reach of scripts, and is not sent from other sites.
 */
export function mediaRoutes({ jobs, sessions, mediaRoot, transcripts }: ApiServices): FastifyPluginAsyncZod {
  return async (server) => {
    server.post("/session", { config: { scope: "read" }, schema: hidden }, async (request, reply) => {
      const { apiKey } = request;
      if (apiKey === null) throw new MirumojiError("UNAUTHENTICATED", "send an API key");
      const known = sessionCookie(request);
      if (known !== undefined) await sessions.close(known);
      setCookie(request, reply, await sessions.open(apiKey.id));
      const { name, scopes, tenant } = apiKey;
      return { name, scopes, tenant };
    });

    server.delete("/session", { schema: hidden }, async (request, reply) => {
      const token = sessionCookie(request);
      if (token !== undefined) await sessions.close(token);
      setCookie(request, reply, "");
      return await reply.code(204).send(null);
    });

    server.get(
      "/:id/input",
      { config: BY_COOKIE, schema: { ...hidden, params: idParams } },
      async (request, reply) => {
        const job = await visibleJob(jobs, request, request.params.id);
        const playable = await findPlayable(mediaRoot, job, { isBound: tenantOf(request) !== undefined });
        return await sendFile(request, reply, playable);
      },
    );

    server.get(
      "/:id/outputs/:index",
      {
        config: BY_COOKIE,
        schema: {
          ...hidden,
          params: idParams.extend({ index: z.coerce.number<number>().int().min(0).max(1000) }),
        },
      },
      async (request, reply) => {
        const job = await visibleJob(jobs, request, request.params.id);
        const found = await findOutput(mediaRoot, job.outputs[request.params.index]);
        return await sendOutput(request, reply, found);
      },
    );

    server.get(
      "/:id/transcript",
      {
        config: BY_COOKIE,
        schema: { ...hidden, params: idParams, querystring: z.object({ format: z.enum(SUBTITLE_FORMATS) }) },
      },
      async (request, reply) => {
        const { format } = request.query;
        const job: JobView = await visibleJob(jobs, request, request.params.id);
        return await reply.type(CONTENT_TYPES[format]).send(await transcripts.text(job, format));
      },
    );
    await Promise.resolve();
  };
}

/** Without a path, so that it is for this folder as the browser sees it, whatever a proxy puts in front. */
function setCookie({ protocol }: FastifyRequest, reply: FastifyReply, token: string): void {
  const rules = ["HttpOnly", "SameSite=Strict", ...(protocol === "https" ? ["Secure"] : [])];
  if (token === "") rules.push("Max-Age=0");
  reply.header("set-cookie", [`${SESSION_COOKIE}=${token}`, ...rules].join("; "));
}
