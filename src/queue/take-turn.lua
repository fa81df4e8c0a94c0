-- Wraps BullMQ's own scripts that take the next job: it is the one whose turn it is.
local prefix, queue
for _, key in ipairs(KEYS) do
  if string.sub(key, -12) == ":prioritized" then
    prefix, queue = string.match(key, "^(.*):([^:]+):[^:]+$")
  end
end
local redis = openTurns(prefix or "", queue or "").seen()
--BULLMQ--
