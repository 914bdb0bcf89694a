-- Announces a member, changes leases, and returns what is stored then. Times are those of this server, in microseconds.
-- KEYS: leases (hash)
-- ARGV: for how long what is renewed lasts; the id of the member; its name and groups, empty if it leaves; then three of each
--   change: what is done, a field, and an argument:
--     renew TOKEN: extends the lease if the member still holds it under this token
--     give TOKEN:  frees it, likewise
--     take RAW:    gives the lease to the member if what is stored is RAW
--     drop RAW:    removes the field, likewise
-- Returns the time; a list with 1 for each change that was made, else 0; and all fields and values.
local leases, lasts, id, about = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

-- text is exact: times in microseconds are below 2^53.
local function text(n) return string.format('%.0f', n) end

local function record(token, expires, holder) return text(token) .. ' ' .. text(expires) .. ' ' .. holder end

-- after is a token that exceeds the one of a record, which may be damaged.
local function after(token)
  token = tonumber(token) or 0
  if token >= 9007199254740991 then token = 0 end
  return math.max(now, token + 1)
end

local done = {}
for i = 4, #ARGV, 3 do
  local what, field, argument = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local raw = redis.call('HGET', leases, field) or ''
  local token, holder = string.match(raw, '^(%d+) %d+ (%S+)$')
  local made = 1
  if what == 'renew' and token == argument and holder == id then
    redis.call('HSET', leases, field, record(tonumber(token), now + lasts, id))
  elseif what == 'give' and token == argument and holder == id then
    redis.call('HSET', leases, field, record(tonumber(token), now, '-'))
  elseif what == 'take' and raw == argument then
    redis.call('HSET', leases, field, record(after(token), now + lasts, id))
  elseif what == 'drop' and raw == argument then
    redis.call('HDEL', leases, field)
  else
    made = 0
  end
  done[#done + 1] = made
end
if about == '' then
  redis.call('HDEL', leases, 'm:' .. id)
else
  redis.call('HSET', leases, 'm:' .. id, text(now + lasts) .. ' ' .. about)
end
return { text(now), done, redis.call('HGETALL', leases) }
