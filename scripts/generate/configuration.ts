import { z } from "zod";
import { environmentSchema, SECRET_NAMES } from "../../src/config/schema.ts";

const propertySchema = z.object({
  description: z.string(),
  default: z.union([z.string(), z.number()]).optional(),
});

/** `docs/configuration.md`: every environment variable. */
export function configurationPage(): string {
  const { properties } = z.toJSONSchema(environmentSchema, { io: "input", unrepresentable: "any" });
  return [
    "# Configuration",
    "",
    "Generated from `src/config/schema.ts` by `npm run generate`. Do not edit.",
    "",
    "All settings are environment variables; an empty one counts as not set. A value that cannot be used stops the",
    "program with a message that names the variable, what it got and what it wants.",
    "",
    "| variable | default | meaning |",
    "|---|---|---|",
    ...Object.entries(properties ?? {}).map(([name, property]) => row(name, propertySchema.parse(property))),
    "",
  ].join("\n");
}

function row(name: string, property: z.output<typeof propertySchema>): string {
  const value = property.default === undefined ? "(none)" : `\`${String(property.default)}\``;
  const secret = SECRET_NAMES.has(name) ? " Secret." : "";
  return `| \`${name}\` | ${value} | ${property.description.replaceAll("|", "\\|")}${secret} |`;
}
