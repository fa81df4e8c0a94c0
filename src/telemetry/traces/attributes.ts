import type { Attributes } from "@opentelemetry/api";
import type { TracedJob } from "../trace-contract.ts";

/** Attributes of every queue span, by OpenTelemetry's conventions for messaging. */
export function jobAttributes(
  { queue, jobId }: TracedJob,
  operation: string,
  type?: "send" | "receive" | "settle",
): Attributes {
  return {
    "messaging.system.name": "bullmq",
    "messaging.destination.name": queue,
    "messaging.message.id": jobId,
    "messaging.operation.name": operation,
    ...(type === undefined ? {} : { "messaging.operation.type": type }),
  };
}
