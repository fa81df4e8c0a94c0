import { z } from "zod";
import { batchViewSchema } from "../../src/job/batch.ts";
import { REQUEST_SCHEMAS, SUBTITLE_FORMATS } from "../../src/job/contract.ts";
import { layoutWish, reformatRequestSchema } from "../../src/job/reformat.ts";
import { JOB_STATUSES, jobViewSchema } from "../../src/job/summary.ts";

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly description?: string;
}

/** The Python client's types: requests as producers write them, jobs as the API answers. */
export function pythonTypes(): string {
  const classes: string[] = [];
  const add = (name: string, schema: z.ZodType) => {
    typeOf(name, z.toJSONSchema(schema, { io: "input" }) as Schema, classes);
  };
  add("TranscribeRequest", REQUEST_SCHEMAS.transcribe.omit({ v: true }));
  add("ConvertRequest", REQUEST_SCHEMAS.convert.omit({ v: true }));
  add("LayoutWish", z.object(layoutWish));
  add("ReformatRequest", reformatRequestSchema);
  add("Job", jobViewSchema);
  add("Batch", z.object(batchViewSchema.shape));
  return [
    '"""Requests and jobs. Generated from the contract by `npm run generate`; do not edit."""',
    "",
    "from __future__ import annotations",
    "",
    "from typing import Any, Literal",
    "",
    "from typing_extensions import NotRequired, TypedDict",
    "",
    `SubtitleFormat = ${literal(SUBTITLE_FORMATS)}`,
    `JobStatus = ${literal(JOB_STATUSES)}`,
    ...classes.flatMap((text) => ["", "", text]),
    "",
  ].join("\n");
}

/** The Python type of a schema; objects become classes, innermost first. */
function typeOf(name: string, schema: Schema, classes: string[]): string {
  if (schema.const !== undefined) return literal([schema.const]);
  if (schema.enum !== undefined) return literal(schema.enum);
  if (schema.anyOf !== undefined) {
    return [...new Set(schema.anyOf.map((one) => typeOf(name, one, classes)))].join(" | ");
  }
  if (Array.isArray(schema.type)) {
    return schema.type.map((type: string) => typeOf(name, { ...schema, type }, classes)).join(" | ");
  }
  switch (schema.type) {
    case "string":
      return "str";
    case "integer":
      return "int";
    case "number":
      return "float";
    case "boolean":
      return "bool";
    case "null":
      return "None";
    case "array":
      return `list[${typeOf(name, schema.items ?? {}, classes)}]`;
    case "object":
      return schema.properties === undefined ? "dict[str, Any]" : classOf(name, schema, classes);
    default:
      return "Any";
  }
}

function classOf(name: string, { properties = {}, required = [] }: Schema, classes: string[]): string {
  const fields = Object.entries(properties).map(([field, schema]) => {
    const type = typeOf(`${name}${camel(field)}`, schema, classes);
    return `    ${field}: ${required.includes(field) ? type : `NotRequired[${type}]`}`;
  });
  classes.push([`class ${name}(TypedDict):`, ...fields].join("\n"));
  return name;
}

function camel(field: string): string {
  return field.replaceAll(/(^|_)([a-z])/gu, (_match, _dash, letter: string) => letter.toUpperCase());
}

function literal(values: readonly unknown[]): string {
  return `Literal[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
}
