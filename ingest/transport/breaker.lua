-- The breakers of one provider: one for each base address ("0", "1", ..), one for each dataset on each ("0/bars").
--
-- Fields of the provider's hash, for a scope: <scope>:st open|half (absent: closed), :until ms, :lease ms, :tok probe's
-- grant, :trips how often in a row it opened, :gen raised by each opening (answers to older grants are not heard),
-- :row failures in a row, :w<bucket> "ok,failed" of ten seconds. `policy`: row, percent, least, open_ms, cap_ms.

local function state_of(hash, scope)
  local found = redis.call('HMGET', hash, scope .. ':st', scope .. ':until', scope .. ':lease', scope .. ':gen')
  return {
    scope = scope,
    st = found[1] or 'closed',
    until_ms = tonumber(found[2] or '0'),
    lease_ms = tonumber(found[3] or '0'),
    gen = tonumber(found[4] or '0'),
  }
end

-- usable: 'yes', 'probe' (its time has come, and nobody probes) or 'no', with the milliseconds until it is worth asking.
local function usable(breaker)
  if breaker.st == 'closed' then return 'yes', 0 end
  if breaker.st == 'open' and now < breaker.until_ms then return 'no', breaker.until_ms - now end
  if breaker.st == 'half' and now < breaker.lease_ms then return 'no', math.min(breaker.lease_ms - now, 1000) end
  return 'probe', 0
end

local function note(changes, scope, before, after, until_ms, why)
  changes[#changes + 1] = {scope, before, after, until_ms, why}
end

local function begin_probe(hash, breaker, grant, lease_ms, changes)
  redis.call('HSET', hash, breaker.scope .. ':st', 'half', breaker.scope .. ':lease', now + lease_ms,
    breaker.scope .. ':tok', grant)
  if breaker.st ~= 'half' then note(changes, breaker.scope, breaker.st, 'half', 0, 'a probe is sent') end
end

local function forget_window(hash, scope)
  for _, field in ipairs(redis.call('HKEYS', hash)) do
    if string.sub(field, 1, #scope + 2) == scope .. ':w' then redis.call('HDEL', hash, field) end
  end
end

local function close(hash, scope, before, changes, why)
  redis.call('HDEL', hash, scope .. ':st', scope .. ':until', scope .. ':lease', scope .. ':tok', scope .. ':trips',
    scope .. ':row')
  forget_window(hash, scope)
  note(changes, scope, before, 'closed', 0, why)
end

local function open(hash, scope, before, policy, changes, why)
  local trips = redis.call('HINCRBY', hash, scope .. ':trips', 1)
  local until_ms = now + math.min(policy.open_ms * 2 ^ math.min(trips - 1, 20), policy.cap_ms)
  redis.call('HSET', hash, scope .. ':st', 'open', scope .. ':until', string.format('%d', until_ms),
    scope .. ':lease', '0', scope .. ':tok', '', scope .. ':row', '0')
  redis.call('HINCRBY', hash, scope .. ':gen', 1)
  forget_window(hash, scope)
  note(changes, scope, before, 'open', until_ms, why)
end

-- Count outcomes, a text of s (served) and f (failed) in the order of their ends, into a closed breaker.
local function count(hash, scope, outcomes, policy, changes)
  local row, ok, failed = tonumber(redis.call('HGET', hash, scope .. ':row') or '0'), 0, 0
  local longest = row
  for i = 1, #outcomes do
    if string.sub(outcomes, i, i) == 'f' then
      row, failed = row + 1, failed + 1
      if row > longest then longest = row end
    else
      row, ok = 0, ok + 1
    end
  end
  redis.call('HSET', hash, scope .. ':row', row)
  local bucket = math.floor(now / 10000)
  local field = scope .. ':w' .. bucket
  local had = redis.call('HGET', hash, field) or '0,0'
  local had_ok, had_failed = string.match(had, '(%d+),(%d+)')
  redis.call('HSET', hash, field, (had_ok + ok) .. ',' .. (had_failed + failed))
  if failed == 0 then return end
  if longest >= policy.row then
    return open(hash, scope, 'closed', policy, changes, longest .. ' failures in a row')
  end
  local all, bad = 0, 0
  for back = 0, 5 do
    local seen = redis.call('HGET', hash, scope .. ':w' .. (bucket - back))
    if seen then
      local seen_ok, seen_failed = string.match(seen, '(%d+),(%d+)')
      all, bad = all + seen_ok + seen_failed, bad + seen_failed
    end
  end
  redis.call('HDEL', hash, scope .. ':w' .. (bucket - 6), scope .. ':w' .. (bucket - 7), scope .. ':w' .. (bucket - 8))
  if all >= policy.least and bad * 100 > policy.percent * all then
    open(hash, scope, 'closed', policy, changes, bad .. ' of ' .. all .. ' requests failed within a minute')
  end
end
