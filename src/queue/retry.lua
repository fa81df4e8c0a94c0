-- Prepares a job that ended badly for another life. KEYS: job, checkpoint, failed. ARGV: 1 job ID
-- A checkpoint that was undoing leads nowhere: what it knew of is gone or is the reaper's.
-- Gives missing, wrong (not failed) or ready.
if redis.call("EXISTS", KEYS[1]) == 0 then
  return "missing"
end
if not redis.call("ZSCORE", KEYS[3], ARGV[1]) then
  return "wrong"
end
redis.call("HDEL", KEYS[1], "cancelRequestedAt", "progress")
local record = redis.call("HGET", KEYS[2], "record")
if record and cjson.decode(record).state == "undo" then
  redis.call("DEL", KEYS[2])
end
return "ready"
