-- Asks for a job to stop: the request is a durable flag. A job that nobody has ever worked on is taken out of the queue
-- here and now, under a lease of the caller's (token, leaseMs), who then tells BullMQ that it failed; should the
-- caller die in between, the job comes back to the workers with its flag.
-- Answers missing, finished, taken, held (waits with a checkpoint) or active.
if redis.call("EXISTS", jobKey) == 0 then
  return "missing"
end
if redis.call("ZSCORE", completedKey, jobId) or redis.call("ZSCORE", failedKey, jobId) then
  return "finished"
end
local time = redis.call("TIME")
redis.call("HSETNX", jobKey, "cancelRequestedAt", time[1] * 1000 + math.floor(time[2] / 1000))
if redis.call("EXISTS", lockKey) == 1 then
  return "active"
end
if redis.call("EXISTS", checkpointKey) == 1 then
  return "held"
end
local removed = redis.call("LREM", waitKey, 0, jobId)
  + redis.call("ZREM", delayedKey, jobId)
  + redis.call("ZREM", prioritizedKey, jobId)
if removed == 0 then
  return "active"
end
openTurns(prefix, queue).unfile(jobId)
redis.call("SET", lockKey, token, "PX", leaseMs)
redis.call("LPUSH", activeKey, jobId)
return "taken"
