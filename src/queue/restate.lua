-- Says again what a worker knows of a job, where Redis has forgotten it: a failover or a power cut takes the newest writes,
-- which had been confirmed. Nothing is written over a job that is over, that was given a new life (retriedAt), or whose
-- checkpoint is as new; and only the ledger's line while another worker owns the job, so that nothing is leaked.
-- Answers known, restated, taken (another worker owns it), gone or over.

local checkpoint_ttl_ms = 2592000000

if redis.call("ZSCORE", completedKey, jobId) or redis.call("ZSCORE", failedKey, jobId) then
  return "over"
end
if redis.call("EXISTS", jobKey) == 0 then
  if volumeId ~= "" then
    redis.call("HSETNX", ledgerKey, volumeId, ledgerEntry)
  end
  return "gone"
end
if (redis.call("HGET", jobKey, "retriedAt") or "0") ~= retriedAt then
  return "over"
end
local isRead, stored = pcall(cjson.decode, redis.call("HGET", checkpointKey, "record") or "{}")
if not isRead or type(stored) ~= "table" then
  stored = {}
end
if (tonumber(stored.v) or 1) > 1 then
  return "taken"
end
if (tonumber(stored.revision) or -1) >= tonumber(revision) then
  return "known"
end
if volumeId ~= "" then
  redis.call("HSETNX", ledgerKey, volumeId, ledgerEntry)
end
local holder = redis.call("GET", lockKey)
-- Somebody has it, or had it after this worker.
if (holder and holder ~= token) or (tonumber(stored.crashesSeen) or 0) > tonumber(crashesSeen) then
  return "taken"
end
redis.call("HSET", checkpointKey, "record", record)
redis.call("PEXPIRE", checkpointKey, checkpoint_ttl_ms)
-- Redis may have forgotten that the job was taken, too; whoever takes it next must read the checkpoint.
if (tonumber(redis.call("HGET", jobKey, "ats")) or 0) < 1 then
  redis.call("HSET", jobKey, "ats", 1)
end
return "restated"
