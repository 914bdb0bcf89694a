-- Stores ids of other shards in a shard that takes no events yet.
-- KEYS: ids (hash; segments of ids are hashes ids:NUMBER on the same server), head (hash)
-- ARGV: the list of segments; how many segments there are, and the number of each; how many are forgotten (0); then three of each id:
--   its segment, empty for ids itself; the id; its value
-- Returns 1, or 0 if the shard takes events or has begun otherwise.
local ids, head = KEYS[1], KEYS[2]
local state = redis.call('HGET', head, 'state')
if state and state ~= 'adopting' or not state and redis.call('EXISTS', head) == 1 then return 0 end
local segments, at = segmentsOf(ids, 2)
redis.call('HSET', head, 'state', 'adopting', 'segments', ARGV[1])
for i = at, #ARGV, 3 do redis.call('HSET', segments.key(ARGV[i]), ARGV[i + 1], ARGV[i + 2]) end
redis.call('HSET', head, 'ids', segments.remembered())
return 1
