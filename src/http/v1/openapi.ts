import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { jsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";
import { VERSION } from "../../config/version.ts";

/** Collects the schemas of all routes that are added after it into one OpenAPI document. */
export async function addOpenApi(server: FastifyInstance, prefix: string): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "mirumoji-worker",
        version: VERSION,
        description: "Hand over media files, get subtitles or an MP4 back.",
        license: { name: "MIT", identifier: "MIT" },
      },
      servers: [{ url: prefix === "" ? "/" : prefix }],
      tags: [
        { name: "jobs", description: "Put in, look at, change." },
        { name: "results", description: "What jobs made." },
        {
          name: "events",
          description:
            "Changes as they happen. `GET /v1/events` (query: `type`, `status`, `tenant`, `tag`) tells those of all jobs in the same form, and never ends: docs/api.md.",
        },
        { name: "openai", description: "Routes of OpenAI's audio API; its clients work unchanged." },
      ],
      components: {
        securitySchemes: {
          apiKey: {
            type: "http",
            scheme: "bearer",
            description: "`mirumoji-worker keys create` makes keys.",
          },
        },
      },
      security: [{ apiKey: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
}
