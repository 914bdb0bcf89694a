-- Appends deliveries to a shard, all or none. Everything that can fail comes before
-- the first write.
-- KEYS: events (stream), ids (hash; segments of ids are hashes ids:NUMBER on the same server), head (hash)
-- ARGV: now (8 bytes), and the bound of clocks (8 bytes) if there is one; the list of segments of ids as
--   expected; the list as it is to be; how many segments there are, and the number of each; how many
--   are forgotten, and the number of each; then seven of each delivery: its id; what is expected of the id, which
--   is its value in ids, empty if it is new, or '=' if an earlier delivery of the call has it;
--   the segment it is in, or is put in, empty for ids itself, '-' if the delivery is refused: it is only checked that its id is as expected;
--   the digest of its body, empty if it fills an event; its known time (8 bytes), empty if
--   nothing can be filled; the fields it adds; its payload
-- Returns the decimal positions; or 'list' and the list of segments if it is not as expected; or 'stale' and then, of each delivery whose id is not as
--   expected, its decimal number, counted from 0, the value of the id and its segment.
local events, ids, head = KEYS[1], KEYS[2], KEYS[3]
local always = string.rep('\0', 8)

-- later compares two times of 8 bytes, which are more than a Lua number holds.
local function later(a, b)
  local ah, al = struct.unpack('>I4I4', a)
  local bh, bl = struct.unpack('>I4I4', b)
  if ah ~= bh then return ah > bh end
  return al > bl
end

-- version is what one delivery adds to the value of an id.
local function version(known, position, fields)
  return known .. string.char(#position) .. position .. fields
end

local h = redis.call('HMGET', head, 'end', 'appended', 'ids', 'segments', 'trimmed', 'state')
if h[6] and h[6] ~= 'opened' then return redis.error_reply('SEALED the shard takes no events') end
local last, appended, count = h[1] or '0', h[2], h[3] or '0'
if (h[4] or '') ~= ARGV[2] then return { 'list', h[4] or '' } end

local segments, at = segmentsOf(ids, 4)
local length = last
if h[5] then length = string.format('%.0f', tonumber(last) - tonumber(string.match(h[5], '^%d+'))) end
if string.format('%.0f', redis.call('XLEN', events)) ~= length or segments.remembered() ~= count then
  return redis.error_reply('DAMAGED records or ids of the shard are missing')
end

local now = string.sub(ARGV[1], 1, 8)

-- ahead is a minus b in microseconds, exact as far as bounds are compared.
local function ahead(a, b)
  local ah, al = struct.unpack('>I4I4', a)
  local bh, bl = struct.unpack('>I4I4', b)
  return (ah - bh) * 4294967296 + (al - bl)
end

if #ARGV[1] == 16 then
  local epoch = '\128' .. string.rep('\0', 7)
  local bound = ahead(string.sub(ARGV[1], 9), epoch)
  local time = redis.call('TIME')
  local server = tonumber(time[1]) * 1000000 + tonumber(time[2]) - ahead(now, epoch)
  if math.abs(server) > bound then return redis.error_reply('CLOCK server ' .. string.format('%.0f', server)) end
  if appended and ahead(appended, now) > bound then
    return redis.error_reply('CLOCK newest ' .. string.format('%.0f', ahead(appended, now)))
  end
end

local stale = segments.stale(at, 7)
if #stale > 1 then return stale end

if appended and later(appended, now) then now = appended end

segments.forget()
if ARGV[3] ~= ARGV[2] then redis.call('HSET', head, 'segments', ARGV[3]) end

local positions, stored = {}, false
for i = at, #ARGV, 7 do
  local id, hash, digest, known, fields, payload = ARGV[i], segments.key(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
  if known ~= '' and later(now, known) then known = now end
  local refused = ARGV[i + 2] == '-'
  if refused then
    positions[#positions + 1] = '0'
  elseif digest == '' then
    local value = redis.call('HGET', hash, id)
    local colon = string.find(value, ':', 17, true)
    if not colon then
      -- Stored without versions: nothing of it has been filled.
      colon = #value + 1
      value = value .. ':' .. version(always, string.sub(value, 17), '\0')
    end
    -- The position of the entry itself is not known before it is there.
    local versions = string.sub(value, colon + 1) .. version(known, '0', fields)
    last = string.sub(redis.call('XADD', events, '0-*', 't', now, 'i', id, 'p', payload, 'v', versions), 3)
    redis.call('HSET', hash, id, value .. version(known, last, fields))
  else
    -- 0-* counts up from 0-1 in 64 bits.
    last = string.sub(redis.call('XADD', events, '0-*', 't', now, 'i', id, 'p', payload), 3)
    local value = digest .. last
    if known ~= '' then value = value .. ':' .. version(known, last, fields) end
    if id ~= '' then redis.call('HSET', hash, id, value) end
  end
  if not refused then positions[#positions + 1], stored = last, true end
end
if stored then redis.call('HSET', head, 'end', last, 'appended', now) end
redis.call('HSET', head, 'ids', segments.remembered())
return positions
