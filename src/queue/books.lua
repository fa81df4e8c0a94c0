-- Shared by the scripts that reserve and book expenses. Amounts are micro USD.

-- Today and this month (UTC), and the seconds until each is over.
local function calendar()
  local now = tonumber(redis.call("TIME")[1])
  local day = math.floor(now / 86400)
  -- The civil calendar: howardhinnant.github.io/date_algorithms.html#civil_from_days
  local shifted = day + 719468
  local era = math.floor(shifted / 146097)
  local dayOfEra = shifted - era * 146097
  local yearOfEra = math.floor(
    (dayOfEra - math.floor(dayOfEra / 1460) + math.floor(dayOfEra / 36524) - math.floor(dayOfEra / 146096)) / 365
  )
  local dayOfYear = dayOfEra - (365 * yearOfEra + math.floor(yearOfEra / 4) - math.floor(yearOfEra / 100))
  local shiftedMonth = math.floor((5 * dayOfYear + 2) / 153)
  local month = shiftedMonth < 10 and shiftedMonth + 3 or shiftedMonth - 9
  local year = yearOfEra + era * 400 + (month <= 2 and 1 or 0)
  return {
    day = tostring(day),
    month = string.format("%04d-%02d", year, month),
    untilTomorrow = (day + 1) * 86400 - now,
  }
end

-- The tenant of a job, or "".
local function tenantOf(job)
  local isRead, request = pcall(cjson.decode, redis.call("HGET", job, "data") or "")
  return isRead and type(request) == "table" and type(request.tenant) == "string" and request.tenant or ""
end

-- Gives back what is reserved for a job; answers how much that was.
local function release(reserved, owner)
  local held = redis.call("HGET", reserved, owner)
  if not held then
    return 0
  end
  local amount, tenant = string.match(held, "^(%d+)|(.*)$")
  redis.call("HDEL", reserved, owner)
  for _, sum in ipairs({ "all", "tenant|" .. tenant }) do
    if redis.call("HINCRBY", reserved, sum, string.format("%d", -amount)) <= 0 then
      redis.call("HDEL", reserved, sum)
    end
  end
  return tonumber(amount)
end
