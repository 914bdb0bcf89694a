-- Takes the ids of a shard that are there for all that there were.
-- KEYS: ids (hash; segments of ids are hashes ids:NUMBER on the same server), head (hash)
-- ARGV: how many segments there are, and the number of each; 0
-- Returns how many are missing; 0 for a sealed shard, whose ids are not counted.
local ids, head = KEYS[1], KEYS[2]
local segments = segmentsOf(ids, 2)
local before, now = redis.call('HGET', head, 'ids') or '0', segments.remembered()
if not tonumber(before) then return 0 end
if ARGV[1] == 'change' then redis.call('HSET', head, 'ids', now) end
return tonumber(before) - tonumber(now)
