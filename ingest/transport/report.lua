-- Report how an admitted batch ended: its windows free their shares a window later, breakers and traffic are counted.
--
-- KEYS[1]  the provider's hash   KEYS[2]  its credential's hash   KEYS[3]  prefix of the traffic counters, which go into a
--          bucket of 10 s (health) and into their total (metrics)
-- ARGV[1]  JSON {grant, base, dataset, probe, gens, outcomes, policy, hold_ms, why, windows: [{key, amount, per_ms,
--          ended: [[age_ms, share], ..], told}], traffic: {field: count}, all, job}
--          `outcomes`: s or f in the order of their ends; `ended` holds what was sent, the rest was never sent and is free;
--          `told`: what the provider says is used of the window; `all`: `ended` is everything since the fetch began
-- Returns  JSON {changes, lost}: `lost` when the grant is not known here and `all` was not said

local said = cjson.decode(ARGV[1])
local hash, pool = KEYS[1], KEYS[2]
local changes, lost = {}, false

for _, window in ipairs(said.windows) do
  refresh(window)
  local held = end_grant(window, said.grant)
  if held == nil and not said.all then
    held, lost = 0, true
  end
  local counts = said.all
  if said.all then
    local seeded = end_grant(window, 'seed:' .. said.job)
    held = (held or 0) + (seeded or 0)
    -- No grant: somebody speaks for a job that is over. Where nothing is held for it, another one was faster.
    if said.grant == '' and not seeded then counts = false end
  end
  local sum = 0
  for _, one in ipairs(window.ended) do sum = sum + one[2] end
  -- What was out and is not said to have ended was never sent; a grant that went past its deadline has its bin already.
  if held > 0 or counts then
    redis.call('HINCRBY', window.key, 'u', sum - held)
    for _, one in ipairs(window.ended) do put_ended(window, one[2], now - one[1]) end
  end
  if window.told then
    local used = tonumber(redis.call('HGET', window.key, 'u') or '0')
    if window.told > used then
      redis.call('HINCRBY', window.key, 'u', window.told - used)
      put_ended(window, window.told - used, now)
    end
  end
  keep(window, 0)
end

if said.hold_ms then
  local until_ms = said.hold_ms < 0 and -1 or now + said.hold_ms
  local before = tonumber(redis.call('HGET', pool, 'hold') or '0')
  if before >= 0 and (until_ms < 0 or until_ms > before) then
    redis.call('HSET', pool, 'hold', string.format('%d', until_ms), 'why', said.why)
  end
end

for at, scope in ipairs({tostring(said.base), said.base .. '/' .. said.dataset}) do
  local breaker = state_of(hash, scope)
  if breaker.st == 'half' and redis.call('HGET', hash, scope .. ':tok') == said.grant then
    if #said.outcomes == 0 then
      redis.call('HSET', hash, scope .. ':lease', '0')
    elseif string.find(said.outcomes, 'f', 1, true) then
      open(hash, scope, 'half', said.policy, changes, 'the probe failed')
    else
      close(hash, scope, 'half', changes, 'the probe was answered')
    end
  elseif breaker.st == 'closed' and breaker.gen == said.gens[at] and #said.outcomes > 0 then
    count(hash, scope, said.outcomes, said.policy, changes)
  end
end
redis.call('PEXPIRE', hash, 86400000)

local bucket, total = KEYS[3] .. math.floor(now / 10000), KEYS[3] .. 'total'
for field, number in pairs(said.traffic) do
  redis.call('HINCRBY', bucket, field, number)
  redis.call('HINCRBY', total, field, number)
end
redis.call('PEXPIRE', bucket, 900000)
redis.call('PEXPIRE', total, 2592000000)
if #said.outcomes > 0 then
  local failing = tonumber(redis.call('HGET', hash, 'failing') or '0')
  local last = string.match(said.outcomes, '(f*)$')
  redis.call('HSET', hash, 'failing', #last == #said.outcomes and failing + #last or #last)
end
return cjson.encode({changes = changes, lost = lost})
