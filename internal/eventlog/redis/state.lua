-- Changes which entries a shard takes.
-- KEYS: events (stream), ids (hash; segments of ids are hashes ids:NUMBER on the same server), head (hash)
-- ARGV: the state as expected; the state that it gets; how many segments there are, and the number of each; how many are removed, and the number
--   of each; 1 if ids itself is removed, else 0
-- Returns 1, or 0 if the state is not as expected.
local events, ids, head = KEYS[1], KEYS[2], KEYS[3]
local h = redis.call('HMGET', head, 'state', 'end', 'ids', 'trimmed')
if (h[1] or '') ~= ARGV[1] then return 0 end
local segments, at = segmentsOf(ids, 3)
-- Whoever moves the ids of a sealed shard takes them for all that there were.
if ARGV[2] == 'sealed' then
  local length = h[2] or '0'
  if h[4] then length = string.format('%.0f', tonumber(length) - tonumber(string.match(h[4], '^%d+'))) end
  if string.format('%.0f', redis.call('XLEN', events)) ~= length or segments.remembered() ~= (h[3] or '0') then
    return redis.error_reply('DAMAGED records or ids of the shard are missing')
  end
end
segments.forget()
if ARGV[at] == '1' then redis.call('UNLINK', ids) end
redis.call('HSET', head, 'state', ARGV[2])
-- A program that knows no states appends nothing to a shard whose number of ids is another one.
if ARGV[2] == 'sealed' then redis.call('HSET', head, 'ids', 'sealed') end
return 1
