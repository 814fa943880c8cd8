-- Reserve a batch's place at an even pace, farm-wide (GCRA), for every limit of one provider at once.
--
-- KEYS[1]  hash: one field per limit, its theoretical arrival time in microseconds (when its pace is free again)
-- ARGV[1]  the longest wait the caller will wait, in microseconds
-- ARGV     then for each limit three values: field, cost_us, burst_us
--          cost_us   what the batch takes of the pace: cost * microseconds per unit
--          burst_us  how far ahead of the even pace the limit may run
-- Returns  microseconds until the batch may go (0: now). Reserves its place, unless that is longer than ARGV[1].
-- Expires  the key, when its last reservation has passed: an absent field means the full burst is free.

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stored = redis.call('HGETALL', KEYS[1])
local arrival_us = {}
for i = 1, #stored, 2 do
  arrival_us[stored[i]] = tonumber(stored[i + 1])
end

-- A batch of up to the burst goes as soon as the pace has room for all of it; a larger one as soon as nothing is owed.
local start_us = now_us
for i = 2, #ARGV, 3 do
  local cost_us, burst_us = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local free_us = (arrival_us[ARGV[i]] or 0) + math.min(cost_us, burst_us) - burst_us
  if free_us > start_us then start_us = free_us end
end

if start_us - now_us > tonumber(ARGV[1]) then return math.ceil(start_us - now_us) end

local last_us = now_us
for i = 2, #ARGV, 3 do
  local from_us = math.max(arrival_us[ARGV[i]] or 0, start_us)
  local next_us = math.ceil(from_us + tonumber(ARGV[i + 1]))
  redis.call('HSET', KEYS[1], ARGV[i], string.format('%d', next_us))
  if next_us > last_us then last_us = next_us end
end
redis.call('PEXPIRE', KEYS[1], math.ceil((last_us - now_us) / 1000) + 1000)
return math.ceil(start_us - now_us)
