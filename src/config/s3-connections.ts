import { z } from "zod";

const connectionSchema = z.strictObject({
  endpoint: z
    .url({ protocol: /^https?$/u, error: "must look like https://host" })
    .optional()
    .describe("Without it Amazon's."),
  region: z.string().min(1).default("auto"),
  accessKeyId: z.string().min(1).optional(),
  secretAccessKey: z.string().min(1).optional(),
  sessionToken: z.string().min(1).optional(),
  /** Bucket in the path, as MinIO has it; by default where an endpoint is given. */
  pathStyle: z.boolean().optional(),
  /** Buckets that jobs may name; without it all that the keys open. */
  buckets: z.array(z.string().min(1)).min(1).optional(),
});

/** A store of S3's protocol that jobs may name. Without keys the usual places are asked (environment, instance role). */
export type S3Connection = z.output<typeof connectionSchema>;

const connectionsSchema = z.record(
  z.string().regex(/^[\w-]{1,64}$/u, "must be named with letters, digits, dashes and underscores"),
  connectionSchema.refine(
    ({ accessKeyId, secretAccessKey }) => (accessKeyId === undefined) === (secretAccessKey === undefined),
    "must have both accessKeyId and secretAccessKey, or none",
  ),
);

/** Variables of inputs and outputs that are not in the media root. In errors no value of a connection is repeated. */
export const elsewhereVariables = {
  MIRUMOJI_MAX_INPUT: z.coerce
    .number("must be a number")
    .int("must be a whole number")
    .min(1)
    .max(100_000_000)
    .default(102_400)
    .describe("Largest input that a worker reads from a URL or a store, in MiB."),
  MIRUMOJI_S3_CONNECTIONS: z
    .string()
    .transform((text, context) => {
      const parsed = connectionsSchema.safeParse(parsedJson(text));
      if (parsed.success) return parsed.data;
      const issues = parsed.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`.trim());
      context.addIssue({
        code: "custom",
        message: `must be JSON such as {"media":{"endpoint":"https://s3.example","accessKeyId":"...","secretAccessKey":"..."}}: ${issues.join("; ")}`,
      });
      return z.NEVER;
    })
    .default({})
    .describe(
      "Stores of S3's protocol that jobs may name (`s3://media/bucket/key`), as JSON by name: `endpoint`, `region`, `accessKeyId`, `secretAccessKey`, `sessionToken`, `pathStyle`, `buckets`.",
    ),
};

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
