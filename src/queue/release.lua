-- Gives back what is reserved for a job that is over or was removed by hand; answers how many micro USD that was.

if redis.call("EXISTS", jobKey) == 1
  and not redis.call("ZSCORE", completedKey, jobId)
  and not redis.call("ZSCORE", failedKey, jobId) then
  return 0
end
return release(reservedKey, queue .. ":" .. jobId)
