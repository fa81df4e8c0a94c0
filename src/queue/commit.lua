-- Writes a checkpoint, only while the caller holds the job's lease.
-- KEYS: lock, checkpoint, ledger, job, events, logs
-- ARGV: 1 lease token, 2 checkpoint or "", 3 its time to live in ms, 4 volume ID for the ledger or "",
--       5 ledger entry, 6 volume ID to strike from the ledger or "", 7 job summary or "", 8 job ID,
--       9 log line or "", 10 log lines to keep, 11 events to keep
-- Gives 1 when written, 2 when written and somebody wants the job to stop, 0 when another worker owns the job.
if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] ~= "" then
  redis.call("HSET", KEYS[2], "record", ARGV[2])
  redis.call("PEXPIRE", KEYS[2], ARGV[3])
end
if ARGV[4] ~= "" then
  redis.call("HSET", KEYS[3], ARGV[4], ARGV[5])
end
if ARGV[6] ~= "" then
  redis.call("HDEL", KEYS[3], ARGV[6])
end
if redis.call("EXISTS", KEYS[4]) == 1 then
  if ARGV[7] ~= "" then
    redis.call("HSET", KEYS[4], "progress", ARGV[7])
    redis.call("XADD", KEYS[5], "MAXLEN", "~", ARGV[11], "*", "event", "progress", "jobId", ARGV[8], "data", ARGV[7])
  end
  if ARGV[9] ~= "" then
    redis.call("RPUSH", KEYS[6], ARGV[9])
    redis.call("LTRIM", KEYS[6], -tonumber(ARGV[10]), -1)
  end
end
if redis.call("HEXISTS", KEYS[4], "cancelRequestedAt") == 1 then
  return 2
end
return 1
