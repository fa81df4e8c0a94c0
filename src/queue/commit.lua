-- Writes what a job has earned and what is shown of it, only while the caller holds the job's lease.
-- Every value but the token and the job ID may be "": then that part is left as it is.
-- volumeId with ledgerEntry enters a volume in the ledger, struckVolumeId strikes one from it.
-- Answers written, cancelRequested (written, and a cancel is requested) or refused (another worker owns it).

-- A checkpoint that nobody touches for this long belongs to a job that was removed by hand: 30 days.
local checkpoint_ttl_ms = 2592000000
local log_lines_kept = 500
local events_kept = 10000

if redis.call("GET", lockKey) ~= token then
  return "refused"
end
if checkpoint ~= "" then
  redis.call("HSET", checkpointKey, "record", checkpoint)
  redis.call("PEXPIRE", checkpointKey, checkpoint_ttl_ms)
end
if volumeId ~= "" then
  redis.call("HSET", ledgerKey, volumeId, ledgerEntry)
end
if struckVolumeId ~= "" then
  redis.call("HDEL", ledgerKey, struckVolumeId)
end
local job = redis.call("HMGET", jobKey, "name", "cancelRequestedAt")
-- A job that was removed by hand is not brought back in parts.
if job[1] then
  if summary ~= "" then
    redis.call("HSET", jobKey, "progress", summary)
    redis.call(
      "XADD", eventsKey, "MAXLEN", "~", events_kept, "*",
      "event", "progress", "jobId", jobId, "data", summary
    )
  end
  if log ~= "" and redis.call("RPUSH", logsKey, log) > log_lines_kept then
    redis.call("LTRIM", logsKey, -log_lines_kept, -1)
  end
end
if job[2] then
  return "cancelRequested"
end
return "written"
