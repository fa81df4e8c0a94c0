import { z } from "zod";
import { JOB_TYPES } from "./contract.ts";
import { webhookSchema } from "./webhooks.ts";

/** Most jobs of one batch. */
const MOST_ITEMS = 10_000;

/** Jobs that are accepted together. Each request is checked by the schema of its type. */
export const batchSubmitSchema = z
  .strictObject({
    items: z
      .array(
        z.strictObject({
          type: z.enum(JOB_TYPES),
          request: z.looseObject({}).describe("As in `Submit`, by type."),
        }),
      )
      .min(1)
      .max(MOST_ITEMS)
      .describe("In the order in which they are to be done."),
    webhook: webhookSchema.omit({ events: true }).optional(),
  })
  .meta({ id: "SubmitBatch", description: "Jobs that are accepted all together or not at all." });
export type BatchSubmit = z.output<typeof batchSubmitSchema>;

const BATCH_STATUSES = ["running", "completed", "partial", "failed", "cancelled"] as const;

const count = z.int().min(0);
export const batchViewSchema = z
  .object({
    id: z.string().describe("Its jobs are `<id>-0`, `<id>-1` and so on, in the order of the items."),
    tenant: z.string().nullable().describe("Tenant of the API key that it came with."),
    status: z
      .enum(BATCH_STATUSES)
      .describe("`partial`: over, and only some jobs completed; `failed`: over, and none did."),
    total: count,
    completed: count,
    failed: count,
    cancelled: count,
    submittedAt: z.number().describe("Epoch milliseconds."),
    endedAt: z.number().nullable().describe("When its last job ended, epoch milliseconds."),
  })
  .meta({ id: "Batch", description: "A batch as it is now." });
export type BatchView = z.output<typeof batchViewSchema>;

type Counts = Pick<BatchView, "total" | "completed" | "failed" | "cancelled">;

/** Where a batch stands, by the ends of its jobs. */
export function batchStatus({ total, completed, failed, cancelled }: Counts): BatchView["status"] {
  if (completed + failed + cancelled < total) return "running";
  if (completed === total) return "completed";
  if (completed > 0) return "partial";
  return failed > 0 ? "failed" : "cancelled";
}
