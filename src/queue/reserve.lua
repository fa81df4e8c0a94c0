-- Reserves the estimated cost of a job's next call, only while the caller holds the job's lease and all limits allow it.
-- limits is JSON: micro USD by the names of the table below; a tenant's own limits, in budgets, come before it.
-- Answers reserved, refused (another worker owns the job), or over with the limit, what it is, what is spent and
-- reserved of it, and the seconds until that begins anew (0: never).

if redis.call("GET", lockKey) ~= token then
  return { "refused" }
end
local owner = queue .. ":" .. jobId
local tenant = tenantOf(jobKey)
release(reservedKey, owner)
local limit = cjson.decode(limits)
local own = cjson.decode(redis.call("HGET", budgetsKey, tenant) or "{}")
for name, value in pairs(own) do
  limit[name] = value
end
local amount = tonumber(microUsd)
local time = calendar()
local function used(spent, reserved)
  return tonumber(redis.call("HGET", spentKey, spent) or 0) + tonumber(redis.call("HGET", reservedKey, reserved) or 0)
end
local ofTenant = "tenant|" .. tenant
local checks = {
  { "perJob", 0, 0 },
  { "perDay", used("D|" .. time.day, "all"), time.untilTomorrow },
  { "perMonth", used("M|" .. time.month, "all"), time.untilTomorrow },
}
if tenant ~= "" then
  table.insert(checks, { "tenantPerDay", used("D|" .. time.day .. "|" .. tenant, ofTenant), time.untilTomorrow })
  table.insert(checks, { "tenantPerMonth", used("M|" .. time.month .. "|" .. tenant, ofTenant), time.untilTomorrow })
end
for _, check in ipairs(checks) do
  local name, sum, seconds = check[1], check[2], check[3]
  if limit[name] and sum + amount > limit[name] then
    return { "over", name, tostring(limit[name]), tostring(sum), tostring(seconds), own.over or limit.over or "fail" }
  end
end
redis.call("HSET", reservedKey, owner, string.format("%d|%s", amount, tenant))
redis.call("HINCRBY", reservedKey, "all", amount)
redis.call("HINCRBY", reservedKey, ofTenant, amount)
return { "reserved" }
