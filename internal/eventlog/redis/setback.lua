-- Corrects the times of all records up to the end of a shard.
-- KEYS: head (hash), back (hash)
-- ARGV: the time that none of them counts as appended after (8 bytes); what was trimmed, as expected, empty for nothing
-- Returns 1, 0 when none would, or -1 if what was trimmed is not as expected.
local head, back = KEYS[1], KEYS[2]
local h = redis.call('HMGET', head, 'end', 'appended', 'trimmed', 'state')
if not h[1] or not h[2] then return 0 end
if (h[3] or '') ~= ARGV[2] then return -1 end
local ah, al = struct.unpack('>I4I4', h[2])
local bh, bl = struct.unpack('>I4I4', ARGV[1])
if ah < bh or ah == bh and al <= bl then return 0 end
if h[4] and h[4] ~= 'opened' then return redis.error_reply('SEALED the shard takes no events') end
redis.call('HSET', back, h[1], ARGV[1])
redis.call('HSET', head, 'appended', ARGV[1])
return 1
