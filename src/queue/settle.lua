-- Clears what a finished job needs no more. The lease is gone by now, so the check is that nobody has taken the job
-- again since (an operator may retry it at once). volumeId "" leaves the ledger as it is. With kept (a
-- checkpoint) the job goes on there when it is retried within keepMs, and its volume lives as long.
-- Answers cleared, or taken when nothing was touched.

local log_lines_kept = 500

if redis.call("EXISTS", lockKey) == 1 then
  return "taken"
end
local entry = kept ~= "" and redis.call("HGET", ledgerKey, keptVolumeId)
if entry then
  local time, volume = redis.call("TIME"), cjson.decode(entry)
  volume.keptUntil = time[1] * 1000 + math.floor(time[2] / 1000) + keepMs
  redis.call("HSET", ledgerKey, keptVolumeId, cjson.encode(volume))
  redis.call("HSET", checkpointKey, "record", kept)
  redis.call("PEXPIRE", checkpointKey, keepMs)
else
  redis.call("DEL", checkpointKey)
end
release(reservedKey, queue .. ":" .. jobId)
if targets ~= "" then
  for _, target in ipairs(cjson.decode(targets)) do
    if redis.call("HGET", claimsKey, target) == queue .. ":" .. jobId then
      redis.call("HDEL", claimsKey, target)
    end
  end
end
if volumeId ~= "" then
  redis.call("HDEL", ledgerKey, volumeId)
end
-- Submitters with the same idempotency key may ask for the end when the job's record is gone.
if redis.call("EXISTS", onceKey) == 1 then
  redis.call("HSET", onceKey, "summary", summary)
end
-- With retention 0 the job is gone already; nothing may bring a part of it back.
if redis.call("EXISTS", jobKey) == 1 then
  redis.call("HSET", jobKey, "progress", summary)
  redis.call("HDEL", jobKey, "cancelRequestedAt")
  local crashes = redis.call("HGET", jobKey, "stc")
  if crashes then
    -- Another program may retry it: its next life begins with none of these.
    redis.call("HSET", jobKey, "mirumojiCrashes", crashes)
  end
  if redis.call("RPUSH", logsKey, log) > log_lines_kept then
    redis.call("LTRIM", logsKey, -log_lines_kept, -1)
  end
end
return "cleared"
