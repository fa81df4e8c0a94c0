-- Keeps a lane for leaseMs more, if it is still the caller's.
-- Answers held or lost.
if redis.call("HGET", claimsKey, lane) ~= token then
  return "lost"
end
local time = redis.call("TIME")
redis.call("ZADD", dueKey, "XX", tonumber(time[1]) * 1000 + leaseMs, lane)
return "held"
