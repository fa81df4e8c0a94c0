-- Asks for a job to stop: the request is a durable flag. A job that nobody has ever worked on is taken out of the queue
-- here and now, under a lease of the caller's, who then tells BullMQ that it failed; should the caller die in between,
-- the job comes back to the workers with its flag.
-- KEYS: job, lock, checkpoint, wait, delayed, prioritized, active, completed, failed
-- ARGV: 1 job ID, 2 now in epoch ms, 3 lease token of the caller, 4 its length in ms
-- Gives missing, finished, taken, held (waits with a checkpoint) or active.
local id = ARGV[1]
if redis.call("EXISTS", KEYS[1]) == 0 then
  return "missing"
end
if redis.call("ZSCORE", KEYS[8], id) or redis.call("ZSCORE", KEYS[9], id) then
  return "finished"
end
redis.call("HSETNX", KEYS[1], "cancelRequestedAt", ARGV[2])
if redis.call("EXISTS", KEYS[2]) == 0 and redis.call("EXISTS", KEYS[3]) == 0 then
  local removed = redis.call("LREM", KEYS[4], 0, id) + redis.call("ZREM", KEYS[5], id) + redis.call("ZREM", KEYS[6], id)
  if removed > 0 then
    redis.call("SET", KEYS[2], ARGV[3], "PX", ARGV[4])
    redis.call("LPUSH", KEYS[7], id)
    return "taken"
  end
end
if redis.call("EXISTS", KEYS[2]) == 0 and redis.call("EXISTS", KEYS[3]) == 1 then
  return "held"
end
return "active"
