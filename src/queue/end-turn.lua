-- Ends the turn of a job that is over or was removed by hand. Answers 1, or 0 when the job goes on.
local base = prefix .. ":" .. queue .. ":"
if redis.call("EXISTS", base .. jobId) == 1
  and not redis.call("ZSCORE", base .. "completed", jobId)
  and not redis.call("ZSCORE", base .. "failed", jobId) then
  return 0
end
local turns = openTurns(prefix, queue)
turns.ending = jobId
turns.leave()
return 1
