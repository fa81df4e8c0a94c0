import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { readFile, readdir } from "node:fs/promises";
import { expect, it } from "vitest";
import { SAMPLE } from "../../support/dev.ts";
import { startStack } from "../../support/stack.ts";
import { BUCKET, S3_KEYS, startS3Server } from "../helpers/media/s3-server.ts";

it("jobs read and write URLs and stores, over the death of a worker, and tell nobody what opens them", async () => {
  await using store = await startS3Server();
  await using stack = await startStack();
  const client = new S3Client({
    endpoint: store.endpoint,
    region: "us-east-1",
    credentials: { ...S3_KEYS },
    forcePathStyle: true,
  });
  const at = (Key: string) => ({ Bucket: BUCKET, Key });
  await client.send(new PutObjectCommand({ ...at("film.mp4"), Body: await readFile(SAMPLE) }));
  const signed = await getSignedUrl(client, new GetObjectCommand(at("film.mp4")));
  const target = await getSignedUrl(client, new PutObjectCommand(at("by-url.mp4")));
  const env = {
    MIRUMOJI_PRIVATE_NETWORKS: "127.0.0.0/8",
    MIRUMOJI_S3_CONNECTIONS: JSON.stringify({
      media: { endpoint: store.endpoint, region: "us-east-1", ...S3_KEYS },
    }),
    MIRUMOJI_LOGGING_LEVEL: "debug",
    MIRUMOJI_LEASE: "2",
  };
  const before = (await readdir(stack.mediaRoot)).toSorted();
  const first = await stack.startWorker(env);
  const transcribe = await stack.client.submit("transcribe", {
    input: signed,
    output: `s3://media/${BUCKET}/made/film.srt`,
    formats: ["srt", "json"],
    language: "en",
  });
  const convert = await stack.client.submit("convert", {
    input: `s3://media/${BUCKET}/film.mp4`,
    output: target,
    resolution: "160x120",
  });
  await stack.seen(convert.id, ({ state }) => state === "upload" || state === "call");
  await first.kill("SIGKILL");
  const second = await stack.startWorker(env);
  const jobs = [await stack.client.wait(transcribe.id), await stack.client.wait(convert.id)];
  expect(jobs.map(({ status, error }) => [status, error])).toEqual([
    ["completed", null],
    ["completed", null],
  ]);
  expect(jobs.map(({ input }) => input)).toEqual([
    `${store.endpoint}/${BUCKET}/film.mp4?[hidden]`,
    `s3://media/${BUCKET}/film.mp4`,
  ]);
  expect(jobs.flatMap(({ outputs }) => outputs.map(({ path }) => path))).toEqual([
    `s3://media/${BUCKET}/made/film.srt`,
    `s3://media/${BUCKET}/made/film.json`,
    `${store.endpoint}/${BUCKET}/by-url.mp4?[hidden]`,
  ]);
  for (const [key, output] of [
    ["made/film.srt", jobs[0]?.outputs[0]],
    ["by-url.mp4", jobs[1]?.outputs[0]],
  ] as const) {
    const { ContentLength } = await client.send(new HeadObjectCommand(at(key)));
    expect(ContentLength).toBe(output?.bytes);
  }
  const told = JSON.stringify(jobs) + first.log() + second.log();
  for (const secret of [signed, target].map(
    (url) => new URL(url).searchParams.get("X-Amz-Signature") ?? "?",
  )) {
    expect(told).not.toContain(secret);
  }
  expect((await readdir(stack.mediaRoot)).toSorted()).toEqual(before);
  client.destroy();
});
