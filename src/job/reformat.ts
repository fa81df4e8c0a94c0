import { z } from "zod";
import { transcribeRequestSchema } from "./contract.ts";
import { MirumojiError } from "./errors.ts";
import { layoutOptions } from "./transcribe-options.ts";

/** The same field without its default. */
const open = <T extends z.ZodType>(field: z.ZodDefault<T>) =>
  field
    .unwrap()
    .optional()
    .describe(field.description ?? "");

/** Layout of a transcript that is made anew; what is left out stays as the job had it. */
export const layoutWish = {
  layout: open(layoutOptions.layout),
  max_line_width: open(layoutOptions.max_line_width),
  max_lines: open(layoutOptions.max_lines),
  max_cps: open(layoutOptions.max_cps),
  word_times: open(layoutOptions.word_times),
  partial: z
    .boolean()
    .optional()
    .describe(
      "Take what was transcribed of a film in parts (`parallel`) before its job was cancelled or failed; without it such a job has no transcript.",
    ),
};
const layoutWishSchema = z.object(layoutWish);
export type LayoutWish = z.input<typeof layoutWishSchema>;

/** New files from the segments of a finished transcript. */
export const reformatRequestSchema = z
  .strictObject({
    formats: transcribeRequestSchema.shape.formats,
    output: transcribeRequestSchema.shape.output.describe(
      "Where the files go; each format puts its extension in place of this one. Default: where the job put its own.",
    ),
    overwrite: z
      .boolean()
      .default(false)
      .describe("Whether files that are there are replaced; without it they are kept, and nothing is made."),
    ...layoutWish,
  })
  .meta({ title: "Reformat request", description: "New formats and layouts of a finished transcript." });
export type ReformatOptions = z.input<typeof reformatRequestSchema>;
export type ReformatRequest = z.output<typeof reformatRequestSchema>;

/** @throws MirumojiError `REQUEST_INVALID` */
export function parseReformat(options: unknown): ReformatRequest {
  const parsed = reformatRequestSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new MirumojiError(
    "REQUEST_INVALID",
    `the reformat request is wrong: ${z.prettifyError(parsed.error)}`,
  );
}
