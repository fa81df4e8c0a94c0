-- Clears what a finished job needs no more. The lease is gone by now, so the check is that nobody has
-- taken the job again since (an operator may retry it at once).
-- KEYS: lock, checkpoint, ledger, job, logs
-- ARGV: 1 volume ID to strike from the ledger or "", 2 final summary, 3 log line

local log_lines_kept = 500

if redis.call("EXISTS", KEYS[1]) == 1 then
  return 0
end
redis.call("DEL", KEYS[2])
if ARGV[1] ~= "" then
  redis.call("HDEL", KEYS[3], ARGV[1])
end
-- With retention 0 the job is gone already; nothing may bring a part of it back.
if redis.call("EXISTS", KEYS[4]) == 1 then
  redis.call("HSET", KEYS[4], "progress", ARGV[2])
  redis.call("HDEL", KEYS[4], "cancelRequestedAt")
  if redis.call("RPUSH", KEYS[5], ARGV[3]) > log_lines_kept then
    redis.call("LTRIM", KEYS[5], -log_lines_kept, -1)
  end
end
return 1
