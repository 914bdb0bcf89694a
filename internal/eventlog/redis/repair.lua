-- Puts a stream that a repair has written in the place of that of a shard.
-- KEYS: events (stream), repaired (stream), head (hash)
-- ARGV: the end, what was trimmed, empty for nothing, and the number of records, as expected; the end as it is to be; the time of the last record (8 bytes)
-- Returns 1, or 0 if something is not as expected.
local events, repaired, head = KEYS[1], KEYS[2], KEYS[3]
local h = redis.call('HMGET', head, 'end', 'trimmed')
if (h[1] or '') ~= ARGV[1] or (h[2] or '') ~= ARGV[2] or string.format('%.0f', redis.call('XLEN', events)) ~= ARGV[3] then return 0 end
redis.call('RENAME', repaired, events)
redis.call('HSET', head, 'end', ARGV[4], 'appended', ARGV[5])
return 1
