/** Every key that is ours, beside BullMQ's own and in the same hash slot (the prefix is a hash tag). */
export const DEFAULT_PREFIX = "{mirumoji}";

/** The keys of one job and of its queue. */
export function jobKeys(prefix: string, queue: string, jobId: string) {
  const job = `${prefix}:${queue}:${jobId}`;
  return {
    /** BullMQ's hash of the job. */
    job,
    /** BullMQ's lease: its value is the token of the owner. */
    lock: `${job}:lock`,
    /** BullMQ's list of log lines. */
    logs: `${job}:logs`,
    /** BullMQ's sorted sets of jobs that are over. */
    completed: `${prefix}:${queue}:completed`,
    failed: `${prefix}:${queue}:failed`,
    /** BullMQ's event stream of the queue. */
    events: `${prefix}:${queue}:events`,
    /** Ours: the request and the end of a job with an idempotency key. */
    once: onceKey(prefix, jobId),
    /** Ours: the durable facts of a live job. */
    checkpoint: `${job}:checkpoint`,
    /** Ours: every live volume. */
    ledger: ledgerKey(prefix),
    /** Ours: `<queue>:<job ID>` by the real place below the media root of each output that a live job will write. */
    claims: claimsKey(prefix),
    ...expenseKeys(prefix),
  };
}

/** Hash of the jobs that have claimed an output, by its real place below the media root. */
export function claimsKey(prefix: string): string {
  return `${prefix}:claims`;
}

/** The books. */
export function expenseKeys(prefix: string) {
  return {
    /** Hash of expenses, by day, job type and tenant. */
    spend: `${prefix}:spend`,
    /** Hash of the sums of days and months that limits are compared with, and of the speed of finished calls. */
    spent: `${prefix}:spent`,
    /** Hash of estimates that are held for calls that are not over, by job, and their sums. */
    reserved: `${prefix}:reserved`,
    /** Hash of the limits of tenants that have limits of their own. */
    budgets: `${prefix}:budgets`,
  };
}

/** The keys of turns between tenants. `turns.lua` makes the same names. */
export function tenantKeys(prefix: string) {
  const turns = `${prefix}:turns`;
  return {
    /** Hash of the limits of tenants that have limits of their own. */
    limits: `${prefix}:tenants`,
    /** Sorted sets of tenants by how many jobs of theirs wait, and run. */
    waiting: `${turns}:waiting`,
    running: `${turns}:running`,
    /** Hash of the tenants of running jobs. */
    jobs: `${turns}:jobs`,
    /** Hash of how many jobs came, by day and tenant. */
    days: `${turns}:days`,
    /** Sorted set of tenants that have as many jobs running as they may. */
    held: (queue: string) => `${turns}:${queue}:held`,
    /** BullMQ's own set, of the jobs that wait for their turn. */
    prioritized: (queue: string) => `${prefix}:${queue}:prioritized`,
  };
}

/** The keys of batches. `finish-outbox.lua` and `retry.lua` make the same names. */
export function batchKeys(prefix: string) {
  const start = `${prefix}:batch:`;
  return {
    /** Hash of what a batch is. */
    batch: (id: string) => `${start}${id}`,
    /** List of its items, until all are in their queues. */
    items: (id: string) => `${start}${id}:items`,
    /** Hash of how its jobs ended, by their IDs. */
    ends: (id: string) => `${start}${id}:ends`,
    /** Set of batches with items that are not in their queues. */
    open: `${prefix}:batches:open`,
  };
}

/** Hash of the request that an idempotency key was taken for, and of its end, by the ID of its job. */
export function onceKey(prefix: string, jobId: string): string {
  return `${prefix}:once:${jobId}`;
}

/** Hash of which server is the primary, and since when the pool knows it. */
export function primaryKey(prefix: string): string {
  return `${prefix}:primary`;
}

/** Hash of live volumes, by volume ID. */
export function ledgerKey(prefix: string): string {
  return `${prefix}:ledger`;
}

/** The sorted sets of all jobs by the time of their submit, and of those with a label. */
export function indexKeys(prefix: string) {
  const all = `${prefix}:jobs`;
  return {
    all,
    /** Set of the keys of all labels. */
    labels: `${all}:labels`,
    tenant: (tenant: string) => `${all}:tenant:${tenant}`,
    tag: (tag: string) => `${all}:tag:${tag}`,
  };
}

/** Segments of finished transcripts. */
export function transcriptKeys(prefix: string) {
  const [start, ending] = [`${prefix}:transcribe:`, ":segments"];
  return {
    start,
    ending,
    text: (jobId: string) => `${start}${jobId}${ending}`,
    /** Sorted set of the job IDs by when their text expires. */
    order: `${prefix}:segments`,
    /** Hash of how many bytes each one has. */
    sizes: `${prefix}:segments:sizes`,
  };
}

/** The API's own keys. */
export function apiKeys(prefix: string) {
  return {
    /** Hash of API keys, by their ID. */
    keys: `${prefix}:api:keys`,
    /** Hash of when each one was last used, by its ID. */
    used: `${prefix}:api:used`,
    /** Stream of who did what. */
    audit: `${prefix}:api:audit`,
    /** Start of the counters of requests. */
    limits: `${prefix}:api:limit:`,
    /** ID of the key that a cookie stands for, by the hash of the cookie. */
    session: (hash: string) => `${prefix}:api:session:${hash}`,
  };
}

/** The keys of webhooks. `finish-outbox.lua` makes the same names. */
export function webhookKeys(prefix: string) {
  const hooks = `${prefix}:webhooks`;
  return {
    /** Hash of events on their way to a receiver, by their ID; those that were given up too. */
    deliveries: `${hooks}:deliveries`,
    /** Sorted set of those that are not delivered, by the time of their event. */
    pending: `${hooks}:pending`,
    /** Sorted set of lanes by the time at which the first delivery of each is due. */
    due: `${hooks}:due`,
    /** Hash of the senders that have a lane in hand. */
    claims: `${hooks}:claims`,
    /** Sorted set of those that were given up, by when. */
    dead: `${hooks}:dead`,
    /** Start of the list of what waits in a lane. */
    lanes: `${hooks}:lane:`,
    /** Hash of the secrets that sign, by owner. */
    secrets: `${hooks}:secrets`,
  };
}
