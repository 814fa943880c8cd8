-- Fill a credential's windows again after Redis has lost them, or for the first time, from what PostgreSQL knows.
--
-- KEYS[1]  the credential's hash      KEYS[2]  the provider's hash
-- ARGV[1]  JSON {hold_ms, why, hand_ms, hand_why, limit, limit_ms, out: [[job, deadline_ms], ..],
--          windows: [{key, amount, per_ms, ended: [[age_ms, share], ..]}]}
--          `out`: jobs that may have sent anything by now; each holds whole windows until it reports, or its deadline
-- Returns  1, or 0 where somebody else was faster

local said = cjson.decode(ARGV[1])
if redis.call('HEXISTS', KEYS[1], 'seeded') == 1 then return 0 end
for _, window in ipairs(said.windows) do
  redis.call('DEL', window.key, window.key .. ':out')
  local sum = 0
  for _, one in ipairs(window.ended) do sum = sum + one[2] end
  redis.call('HSET', window.key, 'u', sum)
  for _, one in ipairs(window.ended) do put_ended(window, one[2], now - one[1]) end
  for _, one in ipairs(said.out) do
    if window.per_ms > 0 then take(window, 'seed:' .. one[1], window.amount, one[2]) end
  end
  keep(window, 0)
end
if said.hold_ms then
  local until_ms = said.hold_ms < 0 and -1 or now + said.hold_ms
  redis.call('HSET', KEYS[1], 'hold', string.format('%d', until_ms), 'why', said.why)
end
if said.hand_ms then
  local until_ms = said.hand_ms < 0 and -1 or now + said.hand_ms
  redis.call('HSET', KEYS[2], 'hand', string.format('%d', until_ms), 'hand_why', said.hand_why)
  redis.call('PEXPIRE', KEYS[2], 86400000)
end
if said.limit then
  local until_ms = said.limit_ms < 0 and -1 or now + said.limit_ms
  redis.call('HSET', KEYS[2], 'limit', said.limit, 'limit_until', string.format('%d', until_ms))
  redis.call('PEXPIRE', KEYS[2], 86400000)
end
redis.call('HSET', KEYS[1], 'seeded', '1')
redis.call('PEXPIRE', KEYS[1], 7200000)
return 1
