-- Look at providers: what the gate keeps of each, and the sum of its traffic over the last buckets.
--
-- KEYS     of each provider its hash and the prefix of its traffic counters, one after the other
-- ARGV[1]  how many buckets, the newest being the one that is filled now   ARGV[2]  seconds of a bucket
-- Returns  {seconds, microseconds} of the clock that was gone by, then of each provider {its hash, its sums}, both flat

local time = redis.call('TIME')
local last = math.floor(tonumber(time[1]) / tonumber(ARGV[2]))
local found = {time}
for at = 1, #KEYS, 2 do
  local sums = {}
  for bucket = last - tonumber(ARGV[1]) + 1, last do
    local counts = redis.call('HGETALL', KEYS[at + 1] .. bucket)
    for field = 1, #counts, 2 do
      sums[counts[field]] = (sums[counts[field]] or 0) + tonumber(counts[field + 1])
    end
  end
  local flat = {}
  for field, sum in pairs(sums) do
    flat[#flat + 1] = field
    flat[#flat + 1] = sum
  end
  found[#found + 1] = {redis.call('HGETALL', KEYS[at]), flat}
end
return found
