-- Fair turns between tenants (start-time fair queueing). Jobs that wait for their first worker lie in BullMQ's own
-- set `prioritized`, with negative scores in the order of their coming, where every tool of BullMQ finds them. Beside it
-- each tenant has a set of its waiting jobs. The tenant with the smallest start tag is next; its tag then grows by
-- 1/weight. `clock` is the tag of the latest turn: nobody who comes later begins before it.
-- The set of BullMQ is the truth: a job that is not in it any more is passed over when its turn comes.

-- Numbers in the order of their coming are smaller than this; below it there is room for 4096 priorities.
local arrivals = 1099511627776
-- Below every score that BullMQ itself gives.
local filed_at = -1125899906842624
local most_priority = 4095
-- Most jobs that one command files for programs that know nothing of turns, and most that it passes over.
local filed_at_once, passed_at_once = 100, 1000

-- Reads JSON of other programs: anything but an object is an empty one.
local function tableOf(text)
  local isRead, value = pcall(cjson.decode, text or "")
  return isRead and type(value) == "table" and value or {}
end

-- Tenant and priority of a request.
local function turnOf(data)
  local request = tableOf(data)
  local tenant = type(request.tenant) == "string" and request.tenant or ""
  local priority = type(request.priority) == "number" and request.priority or 0
  return tenant, math.max(-most_priority, math.min(most_priority, math.floor(priority)))
end

local function openTurns(prefix, queue)
  local call = redis.call
  local base, own = prefix .. ":" .. queue .. ":", prefix .. ":turns:" .. queue
  local wait, prioritized = base .. "wait", base .. "prioritized"
  local waiting, running, jobs = prefix .. ":turns:waiting", prefix .. ":turns:running", prefix .. ":turns:jobs"
  local idle, clock = own .. ":idle", own .. ":clock"
  local turns = {}

  local function limitsOf(tenant)
    local found = call("HMGET", prefix .. ":tenants", tenant, "*")
    local limits = found[2] and tableOf(found[2]) or {}
    for name, value in pairs(found[1] and tableOf(found[1]) or {}) do
      limits[name] = value
    end
    return limits
  end
  local function count(key, tenant, by)
    if tonumber(call("ZINCRBY", key, by, tenant)) <= 0 then
      call("ZREM", key, tenant)
    end
  end

  -- Puts a job at the end of its tenant's line.
  function turns.file(jobId, tenant, priority)
    local number = call("INCR", prefix .. ":turns:number")
    if call("ZADD", own .. ":of:" .. tenant, number - priority * arrivals, jobId) == 1 then
      call("ZINCRBY", waiting, 1, tenant)
    end
    call("ZADD", prioritized, filed_at + number, jobId)
    if call("ZSCORE", own, tenant) or call("ZSCORE", own .. ":held", tenant) then
      return
    end
    local start = tonumber(call("GET", clock) or 0)
    local left = call("ZSCORE", idle, tenant)
    if left then
      call("ZREM", idle, tenant)
      start = math.max(start, tonumber(left))
    end
    call("ZADD", own, start, tenant)
  end

  -- Takes a job that is cancelled out of its tenant's line.
  function turns.unfile(jobId)
    local tenant = turnOf(call("HGET", base .. jobId, "data"))
    if call("ZREM", own .. ":of:" .. tenant, jobId) == 1 then
      count(waiting, tenant, -1)
    end
  end

  local function enter(jobId, tenant)
    if call("HSETNX", jobs, queue .. ":" .. jobId, tenant) == 1 then
      call("ZINCRBY", running, 1, tenant)
    end
    call("LPUSH", base .. "active", jobId)
    return jobId
  end

  -- The job in `ending` is over: its tenant may have another one in its place.
  function turns.leave()
    local jobId = turns.ending
    turns.ending = nil
    local tenant = jobId and call("HGET", jobs, queue .. ":" .. jobId)
    if not tenant then
      return
    end
    call("HDEL", jobs, queue .. ":" .. jobId)
    count(running, tenant, -1)
    turns.release(tenant)
  end

  -- Lets a tenant that has as many jobs running as it may take turns again, in every queue.
  function turns.release(tenant)
    for _, other in ipairs({ "transcribe", "convert" }) do
      local theirs = prefix .. ":turns:" .. other
      local start = call("ZSCORE", theirs .. ":held", tenant)
      if start then
        call("ZREM", theirs .. ":held", tenant)
        call("ZADD", theirs, math.max(tonumber(start), tonumber(call("GET", theirs .. ":clock") or 0)), tenant)
        call("ZADD", prefix .. ":" .. other .. ":marker", 0, "0")
      end
    end
  end

  -- Files what other programs queued. Answers the first job that waits for no turn: it has begun, or is to be undone.
  local function intake()
    for _ = 1, filed_at_once do
      local jobId = call("RPOP", wait)
      if not jobId then
        break
      end
      -- Markers of older versions are jobs to nobody.
      if string.sub(jobId, 1, 2) ~= "0:" then
        local job = call("HMGET", base .. jobId, "data", "cancelRequestedAt")
        local tenant, priority = turnOf(job[1])
        if job[2] or call("HEXISTS", jobs, queue .. ":" .. jobId) == 1 then
          return jobId, tenant
        end
        turns.file(jobId, tenant, priority)
      end
    end
    for _, jobId in ipairs(call("ZRANGEBYSCORE", prioritized, 0, "+inf", "LIMIT", 0, filed_at_once)) do
      local job = call("HMGET", base .. jobId, "data", "priority")
      -- With BullMQ the smallest number is first.
      turns.file(jobId, (turnOf(job[1])), -math.min(tonumber(job[2]) or 0, most_priority))
    end
  end

  -- Moves the job whose turn it is to the active ones.
  function turns.take()
    turns.leave()
    local jobId, of = intake()
    if jobId then
      return enter(jobId, of)
    end
    for _ = 1, passed_at_once do
      local first = call("ZRANGE", own, 0, 0, "WITHSCORES")
      if #first == 0 then
        return false
      end
      local tenant, start = first[1], tonumber(first[2])
      local limits = limitsOf(tenant)
      if limits.running and tonumber(call("ZSCORE", running, tenant) or 0) >= limits.running then
        call("ZREM", own, tenant)
        call("ZADD", own .. ":held", start, tenant)
      else
        local line = own .. ":of:" .. tenant
        local popped = call("ZPOPMIN", line)[1]
        local isThere, finish = false, start
        if popped then
          count(waiting, tenant, -1)
          isThere = call("ZREM", prioritized, popped) == 1
          finish = isThere and start + 1 / (limits.weight or 1) or start
        end
        if call("EXISTS", line) == 1 then
          call("ZADD", own, finish, tenant)
        else
          call("ZREM", own, tenant)
          call("ZREMRANGEBYSCORE", idle, "-inf", start)
          call("ZADD", idle, finish, tenant)
        end
        if isThere then
          call("SET", clock, start)
          return enter(popped, tenant)
        end
      end
    end
    call("ZADD", base .. "marker", 0, "0")
    return false
  end

  -- Answers why a tenant may not have a job more, or nil; counts it otherwise.
  function turns.refusal(tenant)
    local limits = limitsOf(tenant)
    if limits.waiting and tonumber(call("ZSCORE", waiting, tenant) or 0) >= limits.waiting then
      return "waiting " .. limits.waiting
    end
    if limits.perDay then
      local today = math.floor(tonumber(call("TIME")[1]) / 86400) .. "|" .. tenant
      if tonumber(call("HGET", prefix .. ":turns:days", today) or 0) >= limits.perDay then
        return "perDay " .. limits.perDay
      end
      call("HINCRBY", prefix .. ":turns:days", today, 1)
    end
  end

  -- BullMQ's view of Redis: it takes the job whose turn it is, and what it would queue is filed.
  function turns.seen(data)
    return setmetatable({
      call = function(command, key, ...)
        if key == wait then
          if command == "RPOPLPUSH" then
            return turns.take()
          end
          if command == "LPUSH" and data then
            local tenant, priority = turnOf(data)
            return turns.file(..., tenant, priority)
          end
        elseif key == prioritized and command == "ZPOPMIN" then
          return {}
        end
        return call(command, key, ...)
      end,
    }, { __index = redis })
  end
  return turns
end
