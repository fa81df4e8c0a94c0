-- Gives a dead letter another 24 hours, behind what its lane has by now. delivery is what it is from now on.
-- Answers queued, or missing when it is no dead letter.
if redis.call("ZREM", deadKey, id) == 0 then
  return "missing"
end
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call("HSET", deliveriesKey, id, delivery)
redis.call("ZADD", pendingKey, now, id)
redis.call("RPUSH", laneKey, id)
redis.call("ZADD", dueKey, "NX", now, lane)
return "queued"
