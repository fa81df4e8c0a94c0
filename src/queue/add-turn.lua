-- Wraps BullMQ's own scripts that add a job: it comes to the end of its tenant's line, unless the tenant has as many as it
-- may. A job that is there already is not added again, and refused nothing.
local prefix, queue = string.match(KEYS[4], "^(.*):([^:]+):[^:]+$")
local turns = openTurns(prefix or "", queue or "")
local function add()
  local redis = turns.seen(ARGV[2])
  --BULLMQ--
end

local jobId = tostring(cmsgpack.unpack(ARGV[1])[2] or "")
-- Batches are accepted as a whole, before their jobs come.
local isOfBatch = cmsgpack.unpack(ARGV[3]).batch ~= nil
if not isOfBatch and redis.call("EXISTS", prefix .. ":" .. queue .. ":" .. jobId) == 0 then
  local tenant = turnOf(ARGV[2])
  local refusal = turns.refusal(tenant)
  if refusal then
    return redis.error_reply("TENANT_LIMIT " .. refusal)
  end
end
return add()
