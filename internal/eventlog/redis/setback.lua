-- Corrects the times of all records up to the end of a shard.
-- KEYS: head (hash), back (hash)
-- ARGV: the time that none of them counts as appended after (8 bytes)
-- Returns 1, or 0 when none would.
local head, back = KEYS[1], KEYS[2]
local h = redis.call('HMGET', head, 'end', 'appended')
if not h[1] or not h[2] then return 0 end
local ah, al = struct.unpack('>I4I4', h[2])
local bh, bl = struct.unpack('>I4I4', ARGV[1])
if ah < bh or ah == bh and al <= bl then return 0 end
redis.call('HSET', back, h[1], ARGV[1])
redis.call('HSET', head, 'appended', ARGV[1])
return 1
