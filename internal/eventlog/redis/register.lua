-- Sets what is remembered of ids, all or none, without records. Everything that can fail
-- comes before the first write.
-- KEYS: ids (hash; segments of ids are hashes ids:NUMBER on the same server), head (hash)
-- ARGV: the list of segments of ids as expected; the list as it is to be; how many segments there are, and
--   the number of each; how many are forgotten, and the number of each; then four of each id: the id, its value as
--   expected, empty if it is new, the segment it is in, or is put in, empty for ids itself, '-' if the id is left out: it is only checked
--   that it is as expected, and the value to be
-- Returns 'OK'; or 'list' and the list of segments if it is not as expected; or 'stale' and then, of each id that is not as expected, its decimal number,
--   counted from 0, its value and its segment.
local ids, head = KEYS[1], KEYS[2]
local h = redis.call('HMGET', head, 'ids', 'segments', 'state')
if h[3] and h[3] ~= 'opened' then return redis.error_reply('SEALED the shard takes no events') end
if (h[2] or '') ~= ARGV[1] then return { 'list', h[2] or '' } end

local segments, at = segmentsOf(ids, 3)
if segments.remembered() ~= (h[1] or '0') then
  return redis.error_reply('DAMAGED ids of the shard are missing')
end
local stale = segments.stale(at, 4)
if #stale > 1 then return stale end
segments.forget()
if ARGV[2] ~= ARGV[1] then redis.call('HSET', head, 'segments', ARGV[2]) end
for i = at, #ARGV, 4 do
  if ARGV[i + 2] ~= '-' then redis.call('HSET', segments.key(ARGV[i + 2]), ARGV[i], ARGV[i + 3]) end
end
redis.call('HSET', head, 'ids', segments.remembered())
return { 'OK' }
