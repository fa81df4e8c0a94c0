-- Writes a checkpoint, only while the caller holds the job's lease.
-- KEYS: lock, checkpoint, ledger, job, events, logs
-- ARGV: 1 lease token, 2 checkpoint or "", 3 volume ID for the ledger or "", 4 ledger entry,
--       5 volume ID to strike from the ledger or "", 6 job summary or "", 7 job ID, 8 log line or ""
-- Gives 1 when written, 2 when written and somebody wants the job to stop, 0 when another worker owns the job.

-- A checkpoint that nobody touches for this long belongs to a job that was removed by hand: 30 days.
local checkpoint_ttl_ms = 2592000000
local log_lines_kept = 500
local events_kept = 10000

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] ~= "" then
  redis.call("HSET", KEYS[2], "record", ARGV[2])
  redis.call("PEXPIRE", KEYS[2], checkpoint_ttl_ms)
end
if ARGV[3] ~= "" then
  redis.call("HSET", KEYS[3], ARGV[3], ARGV[4])
end
if ARGV[5] ~= "" then
  redis.call("HDEL", KEYS[3], ARGV[5])
end
local job = redis.call("HMGET", KEYS[4], "name", "cancelRequestedAt")
-- A job that was removed by hand is not brought back in parts.
if job[1] then
  if ARGV[6] ~= "" then
    redis.call("HSET", KEYS[4], "progress", ARGV[6])
    redis.call("XADD", KEYS[5], "MAXLEN", "~", events_kept, "*", "event", "progress", "jobId", ARGV[7], "data", ARGV[6])
  end
  if ARGV[8] ~= "" and redis.call("RPUSH", KEYS[6], ARGV[8]) > log_lines_kept then
    redis.call("LTRIM", KEYS[6], -log_lines_kept, -1)
  end
end
if job[2] then
  return 2
end
return 1
