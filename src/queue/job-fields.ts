import { z } from "zod";

/** Changes of a job's hash after which BullMQ can read it. */
export interface FieldRepair {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** So much is kept of data that is not JSON: enough to recognise it by. */
const KEPT_CHARS = 1000;

const number = z.number().optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);
const kept = z
  .union([z.boolean(), z.number(), z.looseObject({ age: number, count: number, limit: number })])
  .optional()
  .catch(undefined);

/** BullMQ's options by the names under which it stores them; one of the wrong type counts as not given. */
const optsSchema = z.looseObject({
  attempts: number,
  backoff: z
    .union([z.number(), z.looseObject({ type: z.string(), delay: number })])
    .optional()
    .catch(undefined),
  delay: number,
  priority: number,
  timestamp: number,
  stackTraceLimit: number,
  sizeLimit: number,
  kl: number,
  lifo: flag,
  fpof: flag,
  cpof: flag,
  idof: flag,
  rdof: flag,
  omc: flag,
  removeOnComplete: kept,
  removeOnFail: kept,
  jobId: z.string().optional().catch(undefined),
  tm: z.string().optional().catch(undefined),
  parent: z.looseObject({ id: z.string(), queue: z.string() }).optional().catch(undefined),
  de: z.looseObject({ id: z.string() }).optional().catch(undefined),
  repeat: z.looseObject({}).optional().catch(undefined),
});
const parentSchema = z.looseObject({ id: z.string(), queueKey: z.string() });

const COUNT = /^\d{1,15}$/u;
const NUMBER = /^\d{1,15}(?:\.\d+)?$/u;

/** Fields that BullMQ reads where they are there: how a sound one looks, and the text in the place of another. */
const FIELDS: Readonly<
  Record<string, { isSound: (text: string) => boolean; instead: (text: string) => string | null }>
> = {
  data: { isSound: isJson, instead: (text) => JSON.stringify(text.slice(0, KEPT_CHARS)) },
  progress: { isSound: isJson, instead: () => "0" },
  opts: { isSound: (text) => soundOpts(text) === text, instead: soundOpts },
  ...fields(["delay", "priority"], NUMBER, "0"),
  ...fields(["ats", "atm", "attemptsMade", "stc"], COUNT, "0"),
  ...fields(["processedOn", "finishedOn"], NUMBER, null),
};

/**
 * Gives what is wrong with a job's hash, null when BullMQ can read it. A job that it cannot read is never handed to
 * anybody and never ends: its lease runs out, and it is taken again, for ever. Repaired, it is taken and refused with a
 * code. `isStalled`: a worker died on it, so that it is nobody's next run of a schedule either.
 */
export function soundFields(
  raw: Readonly<Record<string, string>>,
  { now, isStalled = false }: { readonly now: number; readonly isStalled?: boolean },
): FieldRepair | null {
  const given: Record<string, string> = { opts: "{}", ...raw };
  const wrong = Object.entries(FIELDS).flatMap(([name, { isSound, instead }]) => {
    const text = given[name];
    return text === undefined || isSound(text) ? [] : [[name, instead(text)] as const];
  });
  const set = wrong.flatMap(([name, text]) => (text === null ? [] : [[name, text] as const]));
  const remove = wrong.flatMap(([name, text]) => (text === null ? [name] : []));
  if (given["name"] === undefined) set.push(["name", ""]);
  if (!NUMBER.test(given["timestamp"] ?? "")) set.push(["timestamp", String(now)]);
  if (isOrphanChild(given["parent"])) remove.push("parent", "parentKey");
  const isScheduled = given["opts"]?.includes('"repeat":{') === true && !isStalled;
  if (given["rjk"] !== undefined && !isScheduled) remove.push("rjk");
  return set.length === 0 && remove.length === 0 ? null : { set: Object.fromEntries(set), remove };
}

/** The hash as it is after a repair. */
export function repaired(
  raw: Readonly<Record<string, string>>,
  { set, remove }: FieldRepair,
): Record<string, string> {
  const left = Object.entries({ ...raw, ...set }).filter(([name]) => !remove.includes(name));
  return Object.fromEntries(left);
}

/** The text itself where it is sound. */
function soundOpts(text: string): string {
  try {
    const given = parse(text);
    const opts = optsSchema.safeParse(given);
    if (!opts.success) return "{}";
    const sound = JSON.stringify(opts.data);
    return sound.length === JSON.stringify(given).length ? text : sound;
  } catch {
    // Nested too deeply to be written again.
    return "{}";
  }
}

function isOrphanChild(parent: string | undefined): boolean {
  return parent !== undefined && !parentSchema.safeParse(parse(parent)).success;
}

function fields(names: readonly string[], wanted: RegExp, instead: string | null): typeof FIELDS {
  return Object.fromEntries(
    names.map((name) => [name, { isSound: (text) => wanted.test(text), instead: () => instead }]),
  );
}

function isJson(text: string): boolean {
  return parse(text) !== undefined;
}

/** Gives undefined for what is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
