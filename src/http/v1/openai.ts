import multipart, { type MultipartFile } from "@fastify/multipart";
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { pipeline } from "node:stream/promises";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { transcribeRequestSchema } from "../../job/contract.ts";
import { MirumojiError } from "../../job/errors.ts";
import { isFinal } from "../../job/summary.ts";
import type { MediaRoot } from "../../media/media-root.ts";
import { submitterOf, tenantOf } from "./access.ts";
import { openAiError, renderOpenAi, RESPONSE_FORMATS } from "./openai-shapes.ts";
import type { ApiServices } from "./services.ts";

/** Below the media root; each request has a folder of its own, which is gone when it is answered. */
const FOLDER = "openai-uploads";

const fieldsSchema = z.object({
  // Name of OpenAI's model, which is ignored: the operator decides which model runs.
  model: z.string().optional(),
  language: z.string().optional(),
  prompt: z.string().optional(),
  response_format: z.enum(RESPONSE_FORMATS).default("json"),
  temperature: z.coerce.number().optional(),
});
type Fields = z.output<typeof fieldsSchema>;

/**
 * OpenAI's `/audio/transcriptions` and `/audio/translations`: each request is a job, and is answered at its end. A
 * caller that hangs up cancels it. They are as OpenAI documents them, and so no part of our OpenAPI document.
 */
export function openAiRoutes(services: ApiServices) {
  const { maxUploadBytes } = services;
  return async (server: FastifyInstance): Promise<void> => {
    await server.register(multipart, {
      throwFileSizeLimit: true,
      limits: { files: 1, fileSize: maxUploadBytes, fields: 30, fieldSize: 65_536 },
    });
    server.setErrorHandler(async (error, request, reply) => {
      const { status, body, code, mayTryAgain } = openAiError(error);
      request.problemCode = code;
      if (!mayTryAgain) reply.header("x-should-retry", "false");
      if (status >= 500) services.onError(error, `${request.method} ${request.url}`);
      return await reply.code(status).send(body);
    });
    for (const [path, task] of [
      ["/audio/transcriptions", "transcribe"],
      ["/audio/translations", "translate"],
    ] as const) {
      server.post(
        path,
        {
          bodyLimit: maxUploadBytes + 2 ** 20,
          config: { scope: "submit", audit: "job.submit" },
          schema: { hide: true },
        },
        async (request, reply) => {
          const { text, type } = await answer(services, request, task);
          return await reply.type(type).send(text);
        },
      );
    }
  };
}

async function answer(services: ApiServices, request: FastifyRequest, task: "transcribe" | "translate") {
  const { jobs, mediaRoot, transcripts, onError } = services;
  if (mediaRoot === null) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      "this process has no media root (HOST_MEDIA_PATH) to put files into",
    );
  }
  const upload = `${FOLDER}/${randomUUID()}`;
  const folder = dirname(await mediaRoot.resolveTarget(`${upload}/input`, "file"));
  const hangUp = new AbortController();
  // The connection, not the request, which is closed as soon as it is read.
  const onHangUp = () => hangUp.abort(new Error("the caller hung up"));
  request.raw.socket.once("close", onHangUp);
  let jobId: string | null = null;
  try {
    const { input, fields } = await receive(request, mediaRoot, upload);
    const tenant = tenantOf(request);
    const wanted = {
      ...requestOf(fields, task),
      ...(tenant === undefined ? {} : { tenant }),
      input,
      tags: ["openai"],
      formats: ["json" as const],
    };
    const submitted = await jobs.submit("transcribe", wanted, submitterOf(request));
    jobId = submitted.id;
    request.createdJob = jobId;
    const job = await jobs.wait(jobId, { signal: hangUp.signal });
    if (job.status !== "completed") {
      const { code, message } = job.error ?? { code: job.status, message: `the job is ${job.status}` };
      throw Object.assign(new Error(`${code}: ${message}`), { jobCode: code });
    }
    const { transcript } = await transcripts.segments(job);
    return renderOpenAi(fields.response_format, { task, transcript, report: job.report });
  } catch (error) {
    if (hangUp.signal.aborted && jobId !== null) await jobs.cancel(jobId).catch(() => undefined);
    throw error;
  } finally {
    request.raw.socket.off("close", onHangUp);
    // A job that is being cancelled may still read its input.
    void forget(services, jobId, folder).catch((error: unknown) => onError(error, "an upload stays"));
  }
}

async function forget({ jobs }: ApiServices, jobId: string | null, folder: string): Promise<void> {
  if (jobId !== null) {
    const job = await jobs.get(jobId).catch(() => null);
    if (job !== null && !isFinal(job.status)) await jobs.wait(jobId).catch(() => undefined);
  }
  await rm(folder, { recursive: true, force: true });
}

/** Writes the file below the media root and collects the fields, in whatever order they come. */
async function receive(
  request: FastifyRequest,
  mediaRoot: MediaRoot,
  upload: string,
): Promise<{ input: string; fields: Fields }> {
  const values: Record<string, unknown> = {};
  let input: string | null = null;
  for await (const part of request.parts()) {
    if (part.type === "field") values[part.fieldname] = part.value;
    else if (part.fieldname === "file") {
      input = `${upload}/input${safeExtension(part.filename)}`;
      await save(part, await mediaRoot.resolveTarget(input, "file"));
    } else part.file.resume();
  }
  if (input === null) throw new MirumojiError("REQUEST_INVALID", "file: is missing");
  const fields = fieldsSchema.safeParse(values);
  if (!fields.success) {
    const [issue] = fields.error.issues;
    throw new MirumojiError(
      "REQUEST_INVALID",
      `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is wrong"}`,
    );
  }
  return { input, fields: fields.data };
}

async function save({ file }: MultipartFile, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await pipeline(file, createWriteStream(target, { flags: "wx" }));
  if (file.truncated) throw new MirumojiError("BODY_TOO_LARGE", "file: is larger than this server takes");
}

function safeExtension(name: string): string {
  const extension = extname(name);
  return /^\.[A-Za-z0-9]{1,8}$/u.test(extension) ? extension.toLowerCase() : "";
}

/** Our request for theirs. Without a language theirs is detected, where the contract knows how. */
function requestOf({ language, prompt, temperature }: Fields, task: "transcribe" | "translate") {
  const detects = transcribeRequestSchema.shape.language.safeParse("auto").success;
  const spoken = language ?? (detects ? "auto" : undefined);
  if (task === "translate" && !Object.hasOwn(transcribeRequestSchema.shape, "task")) {
    throw new MirumojiError("REQUEST_INVALID", "this server cannot translate; use /v1/audio/transcriptions");
  }
  return {
    ...(spoken === undefined ? {} : { language: spoken }),
    ...(prompt === undefined || prompt === "" ? {} : { initial_prompt: prompt.slice(0, 2000) }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(task === "translate" ? { task } : {}),
  };
}
