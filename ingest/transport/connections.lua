-- Lease connections to one process, or renew its lease, so that all processes together stay within the farm's most.
--
-- KEYS[1]  hash: a field for each process that holds a lease, "<connections>:<ends_ms>", and `whole`, "0:<from_ms>":
--          from when on every lease is in it. Without that field the books are new, or lost.
-- ARGV[1]  the process
-- ARGV[2]  how many connections it wants
-- ARGV[3]  how many it holds, by a lease that lasts: all it may have until the books are whole
-- ARGV[4]  how many of these it can't give up now, because requests are under way: counted even above the most
-- ARGV[5]  the farm's most
-- ARGV[6]  how long the lease lasts, in milliseconds
-- ARGV[7]  how long it takes until the others have said what they hold, in milliseconds, should the books not be there;
--          0: nobody holds any; -1: not known
-- Returns  how many it may have until then, 0 if there are none; -1: nothing is leased, ARGV[7] must be known. Leases
--          that ran out are taken away.
-- Expires  the key, two leases after the last one began.

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = redis.call('HGETALL', KEYS[1])
local others, whole_ms = 0, nil
for i = 1, #stored, 2 do
  local connections, until_ms = string.match(stored[i + 1], '^(%d+):(%d+)$')
  if stored[i] == 'whole' then
    whole_ms = tonumber(until_ms)
  elseif tonumber(until_ms) <= now_ms then
    redis.call('HDEL', KEYS[1], stored[i])
  elseif stored[i] ~= ARGV[1] then
    others = others + tonumber(connections)
  end
end
if not whole_ms then
  if tonumber(ARGV[7]) < 0 then return -1 end
  whole_ms = now_ms + tonumber(ARGV[7])
  redis.call('HSET', KEYS[1], 'whole', string.format('0:%d', whole_ms))
end

local wanted = tonumber(ARGV[2])
if now_ms < whole_ms then wanted = math.min(wanted, tonumber(ARGV[3])) end
local granted = math.max(math.min(wanted, tonumber(ARGV[5]) - others), tonumber(ARGV[4]), 0)
if granted == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d:%d', granted, now_ms + tonumber(ARGV[6])))
end
redis.call('PEXPIRE', KEYS[1], 2 * tonumber(ARGV[6]))
return granted
