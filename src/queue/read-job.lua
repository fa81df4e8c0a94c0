-- Reads a job with its state, in a time that does not depend on how many jobs there are.
-- Gives nothing when the job is missing, else its state and its fields.
local fields = redis.call(
  "HMGET",
  jobKey,
  "name",
  "data",
  "progress",
  "returnvalue",
  "failedReason",
  "timestamp",
  "processedOn",
  "finishedOn"
)
if not fields[6] then
  return nil
end
local state = "waiting"
if redis.call("ZSCORE", completedKey, jobId) then
  state = "completed"
elseif redis.call("ZSCORE", failedKey, jobId) then
  state = "failed"
elseif redis.call("EXISTS", lockKey) == 1 then
  state = "active"
end
table.insert(fields, 1, state)
return fields
