import { z } from "zod";

/** Variables of what comes in as the body of a request. */
export const uploadVariables = {
  MIRUMOJI_MAX_UPLOAD: z.coerce
    .number("must be a number")
    .int("must be a whole number")
    .min(1)
    .max(1_000_000)
    .default(1024)
    .describe("Longest file that OpenAI's routes take, in MiB."),
  MIRUMOJI_MAX_RESUMABLE: z.coerce
    .number("must be a number")
    .int("must be a whole number")
    .min(1)
    .max(100_000_000)
    .default(10_240)
    .describe("Longest file of a resumable upload, in MiB."),
  MIRUMOJI_UPLOAD_EXPIRY: z.coerce
    .number("must be a number")
    .min(1)
    .max(31_536_000)
    .default(86_400)
    .describe("How long an upload that is not finished may rest before it is removed, in seconds."),
};
