-- Writes what a job has earned and what is shown of it, only while the caller holds the job's lease.
-- Every value but the token and the job ID may be "": then that part is left as it is.
-- volumeId with ledgerEntry enters a volume in the ledger, struckVolumeId strikes one from it.
-- targets is a JSON list of files that are claimed for the job, all or none; a claim of a job that is over is nobody's.
-- spentMicroUsd and spentMs are booked, by day, job type and tenant, unless the call (spentCallId) is booked
-- already; what was reserved for it is given back. mediaMs is the length of the media when the call succeeded.
-- readWriter is the token of the delivery whose checkpoint was read at the beginning: a checkpoint of any other one was said
-- again after a failover of Redis, and is not written over.
-- Answers claimed with the job that has one of them (nothing is written then), written, cancelRequested (written, and a cancel is requested) or refused (another worker owns it, or its checkpoint).

-- A checkpoint that nobody touches for this long belongs to a job that was removed by hand: 30 days.
local checkpoint_ttl_ms = 2592000000
local log_lines_kept = 500
local events_kept = 10000

if redis.call("GET", lockKey) ~= token then
  return "refused"
end
if checkpoint ~= "" then
  local writer = redis.call("HGET", checkpointKey, "writer")
  if writer and writer ~= token and writer ~= readWriter then
    return "refused"
  end
end
if targets ~= "" then
  local owner = queue .. ":" .. jobId
  local claimed = cjson.decode(targets)
  for _, target in ipairs(claimed) do
    local holder = redis.call("HGET", claimsKey, target)
    if holder and holder ~= owner then
      local holderQueue, holderId = string.match(holder, "^([^:]*):(.*)$")
      local holderPrefix = prefix .. ":" .. holderQueue
      local isOver = redis.call("EXISTS", holderPrefix .. ":" .. holderId) == 0
        or redis.call("ZSCORE", holderPrefix .. ":completed", holderId)
        or redis.call("ZSCORE", holderPrefix .. ":failed", holderId)
      if not isOver then
        return "claimed " .. holderId
      end
    end
  end
  for _, target in ipairs(claimed) do
    redis.call("HSET", claimsKey, target, owner)
  end
end
if spentCallId ~= "" then
  -- A write that is made again, because its answer was lost, finds the call in the checkpoint.
  local stored = redis.call("HGET", checkpointKey, "record")
  local isBooked = stored and string.find(stored, '"callId":"' .. spentCallId .. '","outcome"', 1, true)
  if not isBooked then
    local time, tenant = calendar(), tenantOf(jobKey)
    local account = string.format("%s|%s|%s", time.day, queue, tenant)
    redis.call("HINCRBY", spendKey, account .. "|usd", spentMicroUsd)
    redis.call("HINCRBY", spendKey, account .. "|ms", spentMs)
    redis.call("HINCRBY", spendKey, account .. "|calls", 1)
    for _, period in ipairs({ "D|" .. time.day, "M|" .. time.month }) do
      redis.call("HINCRBY", spentKey, period, spentMicroUsd)
      if tenant ~= "" then
        redis.call("HINCRBY", spentKey, period .. "|" .. tenant, spentMicroUsd)
      end
    end
    if mediaMs ~= "" then
      local total = redis.call("HINCRBY", spentKey, "speed|" .. queue .. "|media", mediaMs)
      local ran = redis.call("HINCRBY", spentKey, "speed|" .. queue .. "|ms", spentMs)
      -- Newer jobs count for more: beyond 100 hours of media the sums are halved.
      if total > 360000000 then
        redis.call("HSET", spentKey, "speed|" .. queue .. "|media", math.floor(total / 2), "speed|" .. queue .. "|ms", math.floor(ran / 2))
      end
    end
    release(reservedKey, queue .. ":" .. jobId)
  end
end
if checkpoint ~= "" then
  redis.call("HSET", checkpointKey, "record", checkpoint, "writer", token)
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
