-- What the scripts share about segments of ids: hashes ids:NUMBER beside ids, on its server. Scripts begin with it.

-- segmentsOf returns functions of the segments in ARGV from index at on: how many there are, and the
-- number of each; how many are forgotten, and the number of each. It returns the index behind them, too.
local function segmentsOf(ids, at)
  local function numbers()
    local list, n = {}, tonumber(ARGV[at])
    for i = 1, n do list[i] = ARGV[at + i] end
    at = at + n + 1
    return list
  end
  local kept, forgotten = numbers(), numbers()
  kept[#kept + 1] = ''

  -- key is the key of a segment.
  local function key(number)
    if number == '' then return ids end
    return ids .. ':' .. number
  end

  local function count(list)
    local n = 0
    for _, number in ipairs(list) do n = n + redis.call('HLEN', key(number)) end
    return n
  end

  local s = { key = key }

  -- remembered is how many ids there are, in decimal; forgotten ones count until they are removed.
  function s.remembered() return string.format('%.0f', count(kept) + count(forgotten)) end

  -- forget comes before the other writes: a server whose memory is full takes them only after one that frees some.
  function s.forget()
    for _, number in ipairs(forgotten) do redis.call('UNLINK', key(number)) end
  end

  -- lookup finds the value of an id, empty if there is none, and the segment that has it.
  function s.lookup(id)
    for _, number in ipairs(kept) do
      local value = redis.call('HGET', key(number), id)
      if value then return value, number end
    end
    return '', ''
  end

  -- stale lists the deliveries or ids in ARGV, of so many arguments each, that are not as expected.
  function s.stale(first, each)
    local list = { 'stale' }
    for i = first, #ARGV, each do
      local id, expected = ARGV[i], ARGV[i + 1]
      if id ~= '' and expected ~= '=' then
        local value, number = s.lookup(id)
        if value ~= expected then
          list[#list + 1] = string.format('%.0f', (i - first) / each)
          list[#list + 1] = value
          list[#list + 1] = number
        end
      end
    end
    return list
  end

  return s, at
end
