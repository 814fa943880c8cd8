-- Admit a batch: how many of its first requests may go now, to which base address, and otherwise when to ask again.
--
-- KEYS[1]  the provider's hash (breakers; by hand, for all its credentials: hand, hand_why: held; limit, limit_until:
--          the percent of each window it is kept to)
-- KEYS[2]  its credential's hash (seeded, hold, why, live)
-- ARGV[1]  JSON {fresh, grant, job, count, live, reserve, deadline_ms, bases, dataset, windows: [{key, amount, per_ms,
--          costs}]}: `reserve` is the share that stays free for live work, `fresh` says the server knew no script
-- Returns  JSON {state: seed | confess | wait | go, granted, wait_ms, why, base, probe, gens, changes, supposed}
--          `supposed`: jobs (see seed.lua) that hold what is waited for
-- Costs    one round trip, whatever the batch; nothing is taken unless it may go.

local ask = cjson.decode(ARGV[1])
local hash, pool = KEYS[1], KEYS[2]
if ask.fresh then redis.call('HDEL', pool, 'seeded') end
if redis.call('HEXISTS', pool, 'seeded') == 0 then return cjson.encode({state = 'seed'}) end
redis.call('PEXPIRE', pool, 7200000)

-- Who asks has nothing out: what was seeded for it in place of the truth gives way to what it says it has sent.
for _, window in ipairs(ask.windows) do
  if has_grant(window, 'seed:' .. ask.job) then return cjson.encode({state = 'confess'}) end
end

local function wait(ms, why)
  return cjson.encode({state = 'wait', wait_ms = math.ceil(ms), why = why})
end

-- The provider's hash outlives its credentials' by hours: a hold in it is there, or is seeded again with these.
redis.call('PEXPIRE', hash, 86400000)

local function until_of(held)
  local until_ms = tonumber(held[1] or '0')
  return until_ms < 0 and math.huge or until_ms
end

local held = redis.call('HMGET', pool, 'hold', 'why')
local by_hand = redis.call('HMGET', hash, 'hand', 'hand_why', 'limit', 'limit_until')
if until_of(by_hand) > until_of(held) then held = by_hand end
if until_of(held) > now then
  return wait(until_of(held) == math.huge and -1 or until_of(held) - now, held[2] or 'held')
end

local kept_to = by_hand[3] and until_of({by_hand[4]}) > now and tonumber(by_hand[3]) / 100 or 1

-- The first base address that may be asked, or probed.
local base, probed, soonest = nil, nil, nil
for at = 0, ask.bases - 1 do
  local breakers = {state_of(hash, tostring(at)), state_of(hash, at .. '/' .. ask.dataset)}
  local verdict, wait_ms = 'yes', 0
  for _, breaker in ipairs(breakers) do
    local one, its_ms = usable(breaker)
    if one == 'no' or (one == 'probe' and verdict == 'yes') then verdict = one end
    if its_ms > wait_ms then wait_ms = its_ms end
  end
  if verdict ~= 'no' then
    base = at
    if verdict == 'probe' then probed = breakers end
    ask.breakers = breakers
    break
  end
  if not soonest or wait_ms < soonest then soonest = wait_ms end
end
if not base then return wait(soonest, 'breaker') end

-- Every window must have room; a crumb of a large batch waits until a chunk of it fits. One request always fits into a
-- window with nothing in it, however little of it may be used.
local count = probed and 1 or ask.count
local granted, longest = count, 0
for _, window in ipairs(ask.windows) do
  refresh(window)
  local first = cost_of_first(window, 1)
  local amount = window.per_ms > 0 and math.floor(window.amount * kept_to) or window.amount
  local cap = math.max(amount - math.floor(amount * ask.reserve), math.min(first, window.amount))
  local wanted = ask.live and 0 or tonumber(redis.call('HGET', window.key, 'live') or '0')
  if wanted > now then
    -- Live work waits for this window: it goes first, and everybody else asks again after it.
    longest, granted = math.max(longest, wanted - now), 0
  end
  local fits = fitting(window, count, cap)
  local chunk = count
  while chunk > 1 and cost_of_first(window, chunk) > math.max(first, amount / 50) do
    chunk = math.floor(chunk / 2)
  end
  if fits < math.min(chunk, granted) then
    local need = window.used + cost_of_first(window, math.min(chunk, granted)) - cap
    longest = math.max(longest, free_in(window, need))
    if ask.live then
      redis.call('HSET', window.key, 'live', string.format('%d', now + math.min(free_in(window, need) + 100, 2000)))
      keep(window, 0)
    end
    granted = 0
  elseif fits < granted then
    granted = fits
  end
end
if granted == 0 then
  local jobs = {}
  for _, window in ipairs(ask.windows) do
    for job in pairs(supposed(window)) do jobs[#jobs + 1] = job end
  end
  local wait_ms = math.ceil(math.max(longest, 1))
  return cjson.encode({state = 'wait', wait_ms = wait_ms, why = 'budget', supposed = #jobs > 0 and jobs or nil})
end

local changes, gens = {}, {}
if probed then
  for _, breaker in ipairs(probed) do
    if breaker.st ~= 'closed' then begin_probe(hash, breaker, ask.grant, ask.deadline_ms + 1000, changes) end
  end
end
for _, breaker in ipairs(ask.breakers) do gens[#gens + 1] = breaker.gen end
for _, window in ipairs(ask.windows) do
  take(window, ask.grant, cost_of_first(window, granted), ask.deadline_ms)
  if ask.live then redis.call('HDEL', window.key, 'live') end
end
return cjson.encode({
  state = 'go', granted = granted, base = base, probe = probed ~= nil, gens = gens, changes = changes,
})
