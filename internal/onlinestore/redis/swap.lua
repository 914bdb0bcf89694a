-- Replaces a value if its revision, the first 8 bytes, is the expected one.
-- Revisions are compared as bytes: a Lua number holds only 53 bits.
-- KEYS: the key. ARGV: the expected revision (8 bytes, or none for an absent key)
-- and the value. Returns 1 if the value was replaced.
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
