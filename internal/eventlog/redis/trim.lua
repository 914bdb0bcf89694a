-- Removes the records up to a position, in one step.
-- KEYS: events (stream), head (hash), back (hash)
-- ARGV: what was trimmed, as expected, empty for nothing; what is trimmed then, which begins with the decimal position;
--   the id of the first record that stays; the fields and values of back, as expected
-- Returns 1, or 0 if something is not as expected.
local events, head, back = KEYS[1], KEYS[2], KEYS[3]
if (redis.call('HGET', head, 'trimmed') or '') ~= ARGV[1] then return 0 end
if redis.call('HLEN', back) * 2 ~= #ARGV - 3 then return 0 end
for i = 4, #ARGV, 2 do
  if redis.call('HGET', back, ARGV[i]) ~= ARGV[i + 1] then return 0 end
end
-- A server whose memory is full refuses a script whose first write takes some; after one that frees some it takes all.
redis.call('XTRIM', events, 'MINID', ARGV[3])
redis.call('HSET', head, 'trimmed', ARGV[2])
return 1
