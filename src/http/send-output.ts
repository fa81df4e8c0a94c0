import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { OutputFile } from "../job/facts.ts";
import { MirumojiError } from "../job/errors.ts";
import type { FoundOutput } from "../media/finished-output.ts";

/** By format, never by the name of the file: no output is ever a page that could run a script. */
export const CONTENT_TYPES: Record<OutputFile["format"], string> = {
  srt: "application/x-subrip; charset=utf-8",
  vtt: "text/vtt; charset=utf-8",
  ass: "text/x-ssa; charset=utf-8",
  lrc: "text/plain; charset=utf-8",
  tsv: "text/tab-separated-values; charset=utf-8",
  json: "application/json; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  joined: "text/plain; charset=utf-8",
  mp4: "video/mp4",
};

/** An open file, as it is sent; its sender closes it. */
export interface SentFile {
  readonly type: string;
  readonly name: string;
  readonly file: FileHandle;
  readonly bytes: number;
}

/** Answers with the file of an output, or with the part of it that was asked for. */
export async function sendOutput(
  request: FastifyRequest,
  reply: FastifyReply,
  { output, file, bytes }: FoundOutput,
): Promise<FastifyReply> {
  const name = basename(output.path);
  return await sendFile(request, reply, { type: CONTENT_TYPES[output.format], name, file, bytes });
}

/** Answers with a file, or with the part of it that was asked for. */
export async function sendFile(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  { type, name, file, bytes }: SentFile,
): Promise<FastifyReply> {
  const { mtimeNs } = await file.stat({ bigint: true });
  const tag = `"${mtimeNs.toString(36)}-${bytes.toString(36)}"`;
  reply.header("etag", tag);
  if (isNamed(tag, headers["if-none-match"])) {
    await file.close();
    return await reply.code(304).send();
  }
  const isOfThisFile = headers["if-range"] === undefined || headers["if-range"] === tag;
  const range = isOfThisFile ? parseRange(headers.range, bytes) : null;
  if (range === "unsatisfiable") {
    await file.close();
    reply.header("content-range", `bytes */${bytes}`);
    throw new MirumojiError("RANGE_UNSATISFIABLE", `the file has ${bytes} bytes, the range lies behind them`);
  }
  reply
    .type(type)
    .header("accept-ranges", "bytes")
    .header("content-disposition", `inline; filename*=UTF-8''${encodeURIComponent(name)}`);
  if (range === null) return await reply.header("content-length", bytes).send(file.createReadStream());
  const { start, end } = range;
  return await reply
    .code(206)
    .header("content-range", `bytes ${start}-${end}/${bytes}`)
    .header("content-length", end - start + 1)
    .send(file.createReadStream({ start, end }));
}

/** Whether an `If-None-Match` header names a file's tag. */
function isNamed(tag: string, header: string | undefined): boolean {
  const names = (header ?? "").split(",").map((name) => name.trim().replace(/^W\//u, ""));
  return names.includes(tag) || names.includes("*");
}

/** Parses a `Range` header; null for the whole file, and for headers that cannot be read or name more than one part. */
export function parseRange(
  header: string | undefined,
  bytes: number,
): { start: number; end: number } | "unsatisfiable" | null {
  const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/u.exec(header ?? "") ?? [];
  if (from === "" && to === "") return null;
  if (from !== "" && to !== "" && Number(to) < Number(from)) return null;
  const start = from === "" ? Math.max(0, bytes - Number(to)) : Number(from);
  const end = from === "" || to === "" ? bytes - 1 : Math.min(Number(to), bytes - 1);
  return start > end ? "unsatisfiable" : { start, end };
}
