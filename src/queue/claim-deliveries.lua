-- Takes lanes whose first delivery is due. A lane is the webhook events of one job for one receiver, in their order; it
-- belongs to the caller until leaseMs are over, and then to whoever takes it. Times are Redis' own.
-- Answers a list: lane, delivery, lane, delivery, ...
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local taken = {}
for _, lane in ipairs(redis.call("ZRANGEBYSCORE", dueKey, "-inf", now, "LIMIT", 0, count)) do
  local id = redis.call("LINDEX", lanePrefix .. lane, 0)
  local delivery = id and redis.call("HGET", deliveriesKey, id)
  if delivery then
    redis.call("ZADD", dueKey, now + leaseMs, lane)
    redis.call("HSET", claimsKey, lane, token)
    table.insert(taken, lane)
    table.insert(taken, delivery)
  elseif id then
    redis.call("LPOP", lanePrefix .. lane)
  else
    redis.call("ZREM", dueKey, lane)
    redis.call("HDEL", claimsKey, lane)
  end
end
return taken
