-- The windows of a budget. A share of a window is taken when a request is granted and is free again one window after the
-- request has ended: whenever the provider counts it, between sending and answering, no window of its own holds more.
--
-- window   {key, amount, per_ms, cost}: a hash (below) and, at key..':out', a sorted set of grants that are out
-- hash     u: share in use   o: the oldest bin there may be   <bin>: share that ended in it (free per_ms after its end)
-- out      member "<grant>|<share>|<granted at, ms>", score: deadline in ms. One that is past it counts as ended then.
-- Bins are a hundredth of the window, so that a window is never more than 101 fields; an end counts at its bin's end.
-- All times are the server's, in milliseconds. Every key expires when nothing in it can matter any more.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function bin_ms(window)
  return math.max(1, math.floor(window.per_ms / 100))
end

local function put_ended(window, share, ended_ms)
  -- In use already while it was out: only where it ends changes. per_ms 0 is a cap on what is out, without a window.
  local width = bin_ms(window)
  local bin = math.floor(ended_ms / width) + 1
  if share <= 0 then return end
  if bin * width + window.per_ms <= now then
    redis.call('HINCRBY', window.key, 'u', -share)
    return
  end
  redis.call('HINCRBY', window.key, tostring(bin), share)
  local oldest = tonumber(redis.call('HGET', window.key, 'o') or bin)
  redis.call('HSET', window.key, 'o', string.format('%d', math.min(oldest, bin)))
end

local function keep(window, for_ms)
  local ttl = math.ceil(window.per_ms + for_ms + 60000)
  if redis.call('PTTL', window.key) < ttl then
    redis.call('PEXPIRE', window.key, ttl)
    redis.call('PEXPIRE', window.key .. ':out', ttl)
  end
end

local function share_of(member)
  return tonumber(string.match(member, '|(%d+)|'))
end

-- Free what has been over for a window, end what is past its deadline; set window.used, window.oldest.
local function refresh(window)
  local out = window.key .. ':out'
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', out, '-inf', now)) do
    put_ended(window, share_of(member), tonumber(redis.call('ZSCORE', out, member)))
    redis.call('ZREM', out, member)
  end
  local width = bin_ms(window)
  local newest_free = math.floor((now - window.per_ms) / width)
  local oldest = tonumber(redis.call('HGET', window.key, 'o') or '')
  if oldest and oldest <= newest_free then
    local freed = 0
    if newest_free - oldest > 300 then
      for _, field in ipairs(redis.call('HKEYS', window.key)) do
        local bin = tonumber(field)
        if bin and bin <= newest_free then
          freed = freed + tonumber(redis.call('HGET', window.key, field))
          redis.call('HDEL', window.key, field)
        end
      end
    else
      for bin = oldest, newest_free do
        local share = redis.call('HGET', window.key, tostring(bin))
        if share then
          freed = freed + tonumber(share)
          redis.call('HDEL', window.key, tostring(bin))
        end
      end
    end
    oldest = newest_free + 1
    redis.call('HSET', window.key, 'o', string.format('%d', oldest))
    if freed > 0 then redis.call('HINCRBY', window.key, 'u', -freed) end
  end
  window.oldest = oldest
  window.used = tonumber(redis.call('HGET', window.key, 'u') or '0')
end

-- How many of the first requests fit; `costs` has one share for each, or one for all of them.
local function fitting(window, count, cap)
  local room = cap - window.used
  local costs = window.costs
  if #costs == 1 then
    return math.max(0, math.min(count, math.floor(room / costs[1])))
  end
  local fits = 0
  for i = 1, count do
    room = room - costs[i]
    if room < 0 then break end
    fits = i
  end
  return fits
end

local function cost_of_first(window, count)
  if #window.costs == 1 then return count * window.costs[1] end
  local sum = 0
  for i = 1, count do sum = sum + window.costs[i] end
  return sum
end

-- The jobs that are only supposed to hold the window (see seed.lua), as keys.
local function supposed(window)
  local jobs = {}
  for _, member in ipairs(redis.call('ZRANGE', window.key .. ':out', 0, -1)) do
    local job = string.match(member, '^seed:([^|]*)|')
    if job then jobs[job] = true end
  end
  return jobs
end

-- Milliseconds until `need` more of the window is free, if no grant that is out ends late.
local function free_in(window, need)
  -- What is only supposed to be out may be said to be nothing at any moment.
  if next(supposed(window)) then return 250 end
  local width = bin_ms(window)
  if window.oldest and need > 0 then
    local last = math.floor(now / width) + 1
    for bin = window.oldest, last do
      local share = redis.call('HGET', window.key, tostring(bin))
      if share then
        need = need - tonumber(share)
        if need <= 0 then return math.max(1, bin * width + window.per_ms - now) end
      end
    end
  end
  local first = redis.call('ZRANGE', window.key .. ':out', 0, 0)[1]
  if not first then return 25 end
  local granted = tonumber(string.match(first, '|(%d+)$'))
  return math.max(25, math.min(granted + window.per_ms - now, 1000))
end

local function take(window, grant, share, deadline_ms)
  redis.call('HINCRBY', window.key, 'u', share)
  redis.call('ZADD', window.key .. ':out', now + deadline_ms, string.format('%s|%d|%d', grant, share, now))
  keep(window, deadline_ms)
end

local function has_grant(window, grant)
  for _, member in ipairs(redis.call('ZRANGE', window.key .. ':out', 0, -1)) do
    if string.sub(member, 1, #grant + 1) == grant .. '|' then return true end
  end
  return false
end

-- Take a grant's entry away and return what it held, or nil where it is unknown: Redis has lost it.
local function end_grant(window, grant)
  local out = window.key .. ':out'
  for _, member in ipairs(redis.call('ZRANGE', out, 0, -1)) do
    if string.sub(member, 1, #grant + 1) == grant .. '|' then
      redis.call('ZREM', out, member)
      return share_of(member)
    end
  end
  return nil
end
