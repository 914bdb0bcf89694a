-- Marks ids as seen, all or none, without records. Everything that can fail comes
-- before the first write.
-- KEYS: ids (hash), head (hash)
-- ARGV: id and digest (16 bytes) of each
local ids, head = KEYS[1], KEYS[2]
if string.format('%.0f', redis.call('HLEN', ids)) ~= (redis.call('HGET', head, 'ids') or '0') then
  return redis.error_reply('DAMAGED ids of the shard are missing')
end
for i = 1, #ARGV, 2 do
  redis.call('HSETNX', ids, ARGV[i], ARGV[i + 1] .. '0')
end
redis.call('HSET', head, 'ids', string.format('%.0f', redis.call('HLEN', ids)))
return redis.status_reply('OK')
