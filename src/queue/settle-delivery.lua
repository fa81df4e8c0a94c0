-- Writes how a try ended: delivered, later (waitMs from now, with what is known of the tries in delivery) or dead.
-- Answers written, or lost when another sender has the lane by now: then nothing is written.
local dead_kept = 10000

if redis.call("HGET", claimsKey, lane) ~= token then
  return "lost"
end
redis.call("HDEL", claimsKey, lane)
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if result == "later" then
  redis.call("HSET", deliveriesKey, id, delivery)
  redis.call("ZADD", dueKey, now + waitMs, lane)
  return "written"
end
redis.call("LREM", laneKey, 1, id)
redis.call("ZREM", pendingKey, id)
if result == "dead" then
  redis.call("HSET", deliveriesKey, id, delivery)
  redis.call("ZADD", deadKey, now, id)
  local over = redis.call("ZCARD", deadKey) - dead_kept
  if over > 0 then
    redis.call("HDEL", deliveriesKey, unpack(redis.call("ZRANGE", deadKey, 0, over - 1)))
    redis.call("ZREMRANGEBYRANK", deadKey, 0, over - 1)
  end
else
  redis.call("HDEL", deliveriesKey, id)
end
-- The next event of the job waited for this one.
if redis.call("LLEN", laneKey) > 0 then
  redis.call("ZADD", dueKey, now, lane)
else
  redis.call("ZREM", dueKey, lane)
end
return "written"
