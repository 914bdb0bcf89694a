-- Changes which entries a shard takes.
-- KEYS: ids (hash; segments of ids are hashes ids:NUMBER on the same server), head (hash)
-- ARGV: the state as expected; the state that it gets; then the numbers of the segments whose ids are removed, empty for ids itself
-- Returns 1, or 0 if the state is not as expected.
local ids, head = KEYS[1], KEYS[2]
if (redis.call('HGET', head, 'state') or '') ~= ARGV[1] then return 0 end
for i = 3, #ARGV do
  local key = ids
  if ARGV[i] ~= '' then key = ids .. ':' .. ARGV[i] end
  redis.call('UNLINK', key)
end
redis.call('HSET', head, 'state', ARGV[2])
-- A program that knows no states appends nothing to a shard whose number of ids is another one.
if ARGV[2] == 'sealed' then redis.call('HSET', head, 'ids', 'sealed') end
return 1
