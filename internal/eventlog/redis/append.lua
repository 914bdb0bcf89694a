-- Appends entries to a shard, all or none. Everything that can fail comes before
-- the first write.
-- KEYS: events (stream), ids (hash), head (hash)
-- ARGV: now (8 bytes), then id, digest (16 bytes) and payload of each entry
-- Returns for each entry its outcome (a, d or c) and the decimal position.
local events, ids, head = KEYS[1], KEYS[2], KEYS[3]

-- later compares two times of 8 bytes, which are more than a Lua number holds.
local function later(a, b)
  local ah, al = struct.unpack('>I4I4', a)
  local bh, bl = struct.unpack('>I4I4', b)
  if ah ~= bh then return ah > bh end
  return al > bl
end

local h = redis.call('HMGET', head, 'end', 'appended', 'ids')
local last, appended, count = h[1] or '0', h[2], h[3] or '0'
if string.format('%.0f', redis.call('XLEN', events)) ~= last
    or string.format('%.0f', redis.call('HLEN', ids)) ~= count then
  return redis.error_reply('DAMAGED records or ids of the shard are missing')
end

local now = ARGV[1]
if appended and later(appended, now) then now = appended end

local results, fresh = {}, false
for i = 2, #ARGV, 3 do
  local id, digest = ARGV[i], ARGV[i + 1]
  local seen = id ~= '' and redis.call('HGET', ids, id)
  if seen then
    local outcome = string.sub(seen, 1, 16) == digest and 'd' or 'c'
    results[#results + 1] = outcome .. string.sub(seen, 17)
  else
    -- 0-* counts up from 0-1 in 64 bits.
    last = string.sub(redis.call('XADD', events, '0-*', 't', now, 'i', id, 'p', ARGV[i + 2]), 3)
    if id ~= '' then redis.call('HSET', ids, id, digest .. last) end
    results[#results + 1] = 'a' .. last
    fresh = true
  end
end
if fresh then
  redis.call('HSET', head, 'end', last, 'appended', now, 'ids', string.format('%.0f', redis.call('HLEN', ids)))
end
return results
