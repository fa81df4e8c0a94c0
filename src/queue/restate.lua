-- Says again what a worker knows of a job, where Redis has forgotten it: a failover or a power cut takes the newest writes,
-- which had been confirmed. Nothing is written over a job that is over, or that was given a new life (retriedAt). Its
-- checkpoint is replaced when it is older, and nobody else has written one since (writer is the token of the delivery
-- that wrote it, readWriter of the one whose checkpoint was read here): whoever has the job now, and has written nothing,
-- goes on from this one. Otherwise only the ledger's line is written, so that nothing is leaked.
-- Answers known, restated, taken (another worker has gone on with it), gone or over.

local checkpoint_ttl_ms = 2592000000
-- Of checkpoints that this worker can read.
local newest_version = 2

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
local writer = redis.call("HGET", checkpointKey, "writer") or ""
local isOwn = writer == token or writer == readWriter
if isOwn and (tonumber(stored.revision) or -1) >= tonumber(revision) then
  return "known"
end
if volumeId ~= "" then
  redis.call("HSETNX", ledgerKey, volumeId, ledgerEntry)
end
-- Older workers leave no name.
local isNewer = (tonumber(stored.v) or 1) > newest_version or (tonumber(stored.crashesSeen) or 0) > tonumber(crashesSeen)
if not isOwn or isNewer then
  return "taken"
end
redis.call("HSET", checkpointKey, "record", record, "writer", token)
redis.call("PEXPIRE", checkpointKey, checkpoint_ttl_ms)
-- Redis may have forgotten that the job was taken, too; whoever takes it next must read the checkpoint.
if (tonumber(redis.call("HGET", jobKey, "ats")) or 0) < 1 then
  redis.call("HSET", jobKey, "ats", 1)
end
return "restated"
