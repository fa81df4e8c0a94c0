-- Wraps BullMQ's own moveToFinished: the end of a job and its events for webhooks are written in one step, so that no
-- crash comes between them. BullMQ's text stands in the place of the marker. What other programs wrote is read before
-- anything is written; afterwards nothing can fail.
local jobKey, queueKey, jobId, endedAs, reason = KEYS[12], ARGV[7], ARGV[1], ARGV[5], ARGV[4]
local prefix, queue = string.match(queueKey, "^(.*):([^:]+):$")
local turns = openTurns(prefix or "", queue or "")
turns.ending = jobId
local function moveToFinished()
  local redis = turns.seen()
  --BULLMQ--
end

local fields = redis.call("HMGET", jobKey, "name", "data", "opts", "progress", "timestamp", "processedOn")

local function decoded(text)
  local isRead, value = pcall(cjson.decode, text)
  return isRead and type(value) == "table" and value or {}
end
local function part(value)
  return type(value) == "table" and value or {}
end
-- Most jobs have no webhook, and are not decoded.
local function mentions(text, word)
  return type(text) == "string" and string.find(text, word, 1, true) ~= nil
end

local ending = endedAs
if endedAs == "failed" and string.sub(reason, 1, 10) == "CANCELLED:" then
  ending = "cancelled"
end
local function isWanted(webhook)
  if type(webhook.url) ~= "string" then
    return false
  end
  if type(webhook.events) ~= "table" then
    return true
  end
  for _, event in ipairs(webhook.events) do
    if event == ending then
      return true
    end
  end
  return false
end

local batch = prefix and mentions(fields[3], '"batch"') and decoded(fields[3]).batch
batch = type(batch) == "string" and batch or nil
local wanted, keyId = {}, nil
if prefix then
  if mentions(fields[3], '"apiKey"') then
    keyId = decoded(fields[3]).apiKey
    if type(keyId) == "string" then
      local record = redis.call("HGET", prefix .. ":api:keys", keyId)
      -- A key is told the end of a batch, not of each of its jobs.
      if record and not batch and isWanted(part(decoded(record).webhook)) then
        table.insert(wanted, { lane = "key" })
      end
    else
      keyId = nil
    end
  end
  if mentions(fields[2], '"webhook"') then
    local webhook = part(decoded(fields[2]).webhook)
    if isWanted(webhook) then
      table.insert(wanted, { lane = "job", url = webhook.url })
    end
  end
end


-- Counts the end of a job in its batch; the last one is told.
local function endInBatch(id, now)
  local key = prefix .. ":batch:" .. id
  local record = redis.call("HMGET", key, "total", "apiKey", "url", "submittedAt", "tenant")
  if not record[1] then
    return
  end
  local ends, total = key .. ":ends", tonumber(record[1])
  redis.call("HSET", ends, jobId, ending)
  redis.call("PEXPIRE", ends, math.max(1, redis.call("PTTL", key)))
  if redis.call("HLEN", ends) < total or redis.call("HSETNX", key, "endedAt", now) == 0 then
    return
  end
  local counts = { completed = 0, failed = 0, cancelled = 0 }
  for _, value in ipairs(redis.call("HVALS", ends)) do
    counts[value] = counts[value] + 1
  end
  local owner = record[2] or nil
  local targets = {}
  if record[3] then
    table.insert(targets, { lane = "batch", url = record[3] })
  end
  local ofKey = owner and redis.call("HGET", prefix .. ":api:keys", owner)
  if ofKey and type(part(decoded(ofKey).webhook).url) == "string" then
    table.insert(targets, { lane = "batch-key" })
  end
  local eventId, hooks = "evt_" .. redis.sha1hex(key .. ":" .. tostring(now)), prefix .. ":webhooks:"
  for _, target in ipairs(targets) do
    local delivery, lane = eventId .. ":" .. target.lane, target.lane .. ":" .. id
    redis.call("HSET", hooks .. "deliveries", delivery, cjson.encode({
      v = 1, id = delivery, eventId = eventId, lane = lane, event = ending, at = now, since = now, tries = 0,
      owner = owner, url = target.url,
      batch = {
        id = id, total = total, completed = counts.completed, failed = counts.failed, cancelled = counts.cancelled,
        tenant = record[5] or cjson.null, submittedAt = tonumber(record[4]), endedAt = now,
      },
      job = {
        id = id, name = "batch", data = "", progress = "", returnvalue = "", failedReason = "",
        timestamp = record[4], processedOn = "", finishedOn = tostring(now),
      },
    }))
    redis.call("ZADD", hooks .. "pending", now, delivery)
    redis.call("RPUSH", hooks .. "lane:" .. lane, delivery)
    redis.call("ZADD", hooks .. "due", "NX", now, lane)
  end
end

local answer = moveToFinished()
if type(answer) == "number" and answer < 0 then
  return answer
end
turns.leave()
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if batch then
  endInBatch(batch, now)
end
if #wanted > 0 then
  local eventId = "evt_" .. redis.sha1hex(jobKey .. ":" .. ARGV[2] .. ":" .. tostring(now))
  local hooks = prefix .. ":webhooks:"
  for _, target in ipairs(wanted) do
    local id, lane = eventId .. ":" .. target.lane, queue .. ":" .. target.lane .. ":" .. jobId
    local delivery = {
      v = 1,
      id = id,
      eventId = eventId,
      lane = lane,
      event = ending,
      at = now,
      since = now,
      tries = 0,
      owner = keyId,
      url = target.url,
      job = {
        id = jobId,
        name = fields[1] or "",
        data = fields[2] or "",
        progress = fields[4] or "",
        returnvalue = endedAs == "completed" and reason or "",
        failedReason = endedAs == "failed" and reason or "",
        timestamp = fields[5] or "",
        processedOn = fields[6] or "",
        finishedOn = ARGV[2],
      },
    }
    redis.call("HSET", hooks .. "deliveries", id, cjson.encode(delivery))
    redis.call("ZADD", hooks .. "pending", now, id)
    redis.call("RPUSH", hooks .. "lane:" .. lane, id)
    redis.call("ZADD", hooks .. "due", "NX", now, lane)
  end
end
return answer
