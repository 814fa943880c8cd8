-- Open, close or let be probed now, by hand, every breaker of a provider.
--
-- KEYS[1]  the provider's hash      ARGV[1]  JSON {action: open | close | probe, bases, for_ms}
-- Returns  JSON {changes}. Opening by hand raises the generation too: answers that are on their way are not heard.

local said = cjson.decode(ARGV[1])
local hash, changes, scopes = KEYS[1], {}, {}
for at = 0, said.bases - 1 do scopes[tostring(at)] = true end
for _, field in ipairs(redis.call('HKEYS', hash)) do
  local scope = string.match(field, '^([%d/%a]+):st$')
  if scope then scopes[scope] = true end
end
for scope in pairs(scopes) do
  local breaker = state_of(hash, scope)
  local is_base = not string.find(scope, '/', 1, true)
  if said.action == 'close' and breaker.st ~= 'closed' then
    close(hash, scope, breaker.st, changes, 'by hand')
  elseif said.action == 'open' and is_base then
    open(hash, scope, breaker.st, {open_ms = said.for_ms, cap_ms = said.for_ms}, changes, 'by hand')
  elseif said.action == 'probe' and breaker.st == 'open' then
    redis.call('HSET', hash, scope .. ':until', string.format('%d', now))
  end
end
redis.call('PEXPIRE', hash, math.max(86400000, (said.for_ms or 0) + 86400000))
return cjson.encode({changes = changes})
