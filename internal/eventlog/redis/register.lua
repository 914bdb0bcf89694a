-- Sets what is remembered of ids, all or none, without records. Everything that can fail
-- comes before the first write.
-- KEYS: ids (hash), head (hash)
-- ARGV: three of each id: the id, its value as expected, empty if it is new, and the value to be
-- Returns 'OK'; or 'stale' and then, of each id that is not as expected, its decimal number,
--   counted from 0, and its value.
local ids, head = KEYS[1], KEYS[2]
if string.format('%.0f', redis.call('HLEN', ids)) ~= (redis.call('HGET', head, 'ids') or '0') then
  return redis.error_reply('DAMAGED ids of the shard are missing')
end
local stale = { 'stale' }
for i = 1, #ARGV, 3 do
  local value = redis.call('HGET', ids, ARGV[i]) or ''
  if value ~= ARGV[i + 1] then
    stale[#stale + 1] = string.format('%.0f', (i - 1) / 3)
    stale[#stale + 1] = value
  end
end
if #stale > 1 then return stale end
for i = 1, #ARGV, 3 do
  redis.call('HSET', ids, ARGV[i], ARGV[i + 2])
end
redis.call('HSET', head, 'ids', string.format('%.0f', redis.call('HLEN', ids)))
return { 'OK' }
