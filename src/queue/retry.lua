-- Prepares a job that ended badly for another life. A checkpoint that was undoing leads nowhere: the volume and the call
-- it knew are gone or the reaper's.
-- Answers missing, wrong (not failed) or ready.
if redis.call("EXISTS", jobKey) == 0 then
  return "missing"
end
if not redis.call("ZSCORE", failedKey, jobId) then
  return "wrong"
end
redis.call("HDEL", jobKey, "cancelRequestedAt", "progress")
-- The clocks of the job begin anew.
local time = redis.call("TIME")
redis.call("HSET", jobKey, "retriedAt", time[1] * 1000 + math.floor(time[2] / 1000))
local record = redis.call("HGET", checkpointKey, "record")
if record and cjson.decode(record).state == "undo" then
  redis.call("DEL", checkpointKey)
end
return "ready"
