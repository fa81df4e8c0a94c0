-- Prepares a job that ended badly for another life. A checkpoint that was undoing leads nowhere: the volume and the call
-- it knew are gone or the reaper's. So does one that is not even JSON.
-- Answers missing, wrong (not failed) or ready.
if redis.call("EXISTS", jobKey) == 0 then
  return "missing"
end
if not redis.call("ZSCORE", failedKey, jobId) then
  return "wrong"
end
redis.call("HDEL", jobKey, "cancelRequestedAt", "progress")
-- A batch goes on with it.
local isRead, options = pcall(cjson.decode, redis.call("HGET", jobKey, "opts") or "")
if isRead and type(options) == "table" and type(options.batch) == "string" then
  local batch = prefix .. ":batch:" .. options.batch
  redis.call("HDEL", batch .. ":ends", jobId)
  redis.call("HDEL", batch, "endedAt")
end
-- The clocks of the job begin anew, and so does the count of crashes: BullMQ's is of all lives.
local time = redis.call("TIME")
redis.call(
  "HSET", jobKey,
  "retriedAt", time[1] * 1000 + math.floor(time[2] / 1000),
  "mirumojiCrashes", redis.call("HGET", jobKey, "stc") or 0
)
local record = redis.call("HGET", checkpointKey, "record")
local isReadable, checkpoint = pcall(cjson.decode, record or "null")
if not isReadable or (type(checkpoint) == "table" and checkpoint.state == "undo") then
  redis.call("DEL", checkpointKey)
end
return "ready"
