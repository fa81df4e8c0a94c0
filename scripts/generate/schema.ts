import { z } from "zod";
import { type JobType, REQUEST_SCHEMAS } from "../../src/job/contract.ts";

/** The contract of one job type as JSON Schema, for producers in other languages. */
export function schemaFile(type: JobType): string {
  // Producers write the input side: fields with defaults may be left out.
  const schema = z.toJSONSchema(REQUEST_SCHEMAS[type], { io: "input", target: "draft-2020-12" });
  return `${JSON.stringify(schema, null, 2)}\n`;
}
