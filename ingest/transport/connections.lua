-- Lease connections to one process, or renew its lease, so that all processes together stay within the farm's most.
--
-- KEYS[1]  hash: a field for each process that holds a lease, "<connections>:<ends_ms>"
-- ARGV[1]  the process
-- ARGV[2]  how many connections it wants
-- ARGV[3]  how many it can't give up now, because requests are under way on them: counted even above the most
-- ARGV[4]  the farm's most
-- ARGV[5]  how long the lease lasts, in milliseconds
-- Returns  how many it may have until then, 0 if there are none. Leases that ran out are taken away.
-- Expires  the key, with its last lease.

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = redis.call('HGETALL', KEYS[1])
local others = 0
for i = 1, #stored, 2 do
  local connections, ends_ms = string.match(stored[i + 1], '^(%d+):(%d+)$')
  if tonumber(ends_ms) <= now_ms then
    redis.call('HDEL', KEYS[1], stored[i])
  elseif stored[i] ~= ARGV[1] then
    others = others + tonumber(connections)
  end
end

local granted = math.max(math.min(tonumber(ARGV[2]), tonumber(ARGV[4]) - others), tonumber(ARGV[3]), 0)
if granted == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d:%d', granted, now_ms + tonumber(ARGV[5])))
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return granted
