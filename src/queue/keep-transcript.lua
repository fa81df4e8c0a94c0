-- Keeps a text beside its job for a while, in the place of an older one of the same job.
-- Texts that have expired are counted no more; above the limit the oldest make room, and one that is larger than all of it is not kept.
-- Answers how many bytes are kept in all.

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function forget(id)
  redis.call("DEL", start .. id .. ending)
  redis.call("ZREM", orderKey, id)
  redis.call("HDEL", sizesKey, id)
end
forget(jobId)
for _, id in ipairs(redis.call("ZRANGE", orderKey, "-inf", now, "BYSCORE")) do
  forget(id)
end
local bytes = 0
for _, size in ipairs(redis.call("HVALS", sizesKey)) do
  bytes = bytes + tonumber(size)
end
local own = #text
if own > tonumber(limitBytes) then
  return bytes
end
while bytes + own > tonumber(limitBytes) do
  local oldest = redis.call("ZRANGE", orderKey, 0, 0)[1]
  if not oldest then
    break
  end
  bytes = bytes - tonumber(redis.call("HGET", sizesKey, oldest) or 0)
  forget(oldest)
end
redis.call("SET", start .. jobId .. ending, text, "PX", ttlMs)
redis.call("ZADD", orderKey, now + tonumber(ttlMs), jobId)
redis.call("HSET", sizesKey, jobId, own)
redis.call("PEXPIRE", orderKey, ttlMs)
redis.call("PEXPIRE", sizesKey, ttlMs)
return bytes + own
