-- Tells for how many milliseconds more no job may be begun on this primary: after a failover its workers get as long to
-- say again what it does not know. When the pool saw a primary first is noted here. One that never followed another
-- has forgotten nothing.
local info = redis.call("INFO", "replication")
local id = string.match(info, "master_replid:(%x+)")
local former = string.match(info, "master_replid2:(%x+)")
if not id then
  return 0
end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call("HMGET", primaryKey, "id", "since")
local since = tonumber(known[2]) or 0
if known[1] ~= id then
  local isPromoted = known[1] and former and string.find(former, "[^0]")
  since = isPromoted and now or 0
  redis.call("HSET", primaryKey, "id", id, "since", since)
end
return math.max(0, since + tonumber(graceMs) - now)
