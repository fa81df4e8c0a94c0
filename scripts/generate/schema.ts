import { z } from "zod";
import { type JobType, REQUEST_SCHEMAS } from "../../src/job/contract.ts";

/** JSON Schema of one job type, for producers in other languages. */
export function schemaFile(type: JobType): string {
  // Input side of the schema: fields with defaults may be omitted.
  const schema = z.toJSONSchema(REQUEST_SCHEMAS[type], { io: "input", target: "draft-2020-12" });
  return `${JSON.stringify(schema, null, 2)}\n`;
}
