-- Forgets ids of a segment whose events are lost, or changes what is known of their events.
-- KEYS: ids or a segment of them (hash), head (hash)
-- ARGV: three of each id: the id, its value as expected, the value to be, empty if it is forgotten
-- Returns how many were forgotten or changed.
local ids, head = KEYS[1], KEYS[2]
local gone, changed = 0, 0
for i = 1, #ARGV, 3 do
  if redis.call('HGET', ids, ARGV[i]) == ARGV[i + 1] then
    if ARGV[i + 2] == '' then
      redis.call('HDEL', ids, ARGV[i])
      gone = gone + 1
    else
      redis.call('HSET', ids, ARGV[i], ARGV[i + 2])
      changed = changed + 1
    end
  end
end
-- The ids of a sealed shard are not counted.
if gone > 0 and tonumber(redis.call('HGET', head, 'ids') or '') then redis.call('HINCRBY', head, 'ids', -gone) end
return gone + changed
