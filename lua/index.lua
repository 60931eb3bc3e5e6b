-- The buyers' index: from a buyer's key to the number of their newest record. A hash of buckets; a bucket is one string with 6 bytes
-- per buyer: bytes 11 and 12 of their key as a tag, and the number (u32). A field is the last bytes of the keys in it, so one HMGET and
-- one HSET with values as they are serve a whole batch: no number is ever written out. A tag that fits is confirmed by the key in the
-- record, so nobody is mistaken for somebody else.
--
-- The number of buckets is a power of two, made for the buyers to come (index_room), but any number of buyers fits.

local ENTRY = 6
local BUCKETS_MAX = 16777216
local FILL = 20        -- buyers in a bucket when the index is made
local FILL_MAX = 40    -- and before it gets more buckets
local READ_AT_ONCE = 500

-- How a key's field is made: of how many bytes, and which part of the first of them.
local function index_shape(buckets)
  if buckets <= 256 then return 1, buckets end
  if buckets <= 65536 then return 2, buckets / 256 end
  return 3, buckets / 65536
end

local function index_field(buyer, width, part)
  if width == 1 then return string.char(string.byte(buyer, 16) % part) end
  if width == 2 then
    local a, b = string.byte(buyer, 15, 16)
    return string.char(a % part, b)
  end
  local a, b, c = string.byte(buyer, 14, 16)
  return string.char(a % part, b, c)
end

-- Reads the buckets of `buyers` (which may repeat). Returns per buyer's place their field, and per field what is in the bucket.
local function index_read(shard, buyers)
  local width, part = index_shape(shard.buckets)
  local fields, contents = {}, {}
  for i = 1, #buyers do
    fields[i] = index_field(buyers[i], width, part)
  end
  for from = 1, #fields, READ_AT_ONCE do
    local to = math.min(from + READ_AT_ONCE - 1, #fields)
    local got = redis.call('HMGET', shard.prefix .. 'idx', unpack(fields, from, to))
    for i = from, to do
      contents[fields[i]] = got[i - from + 1] or ''
    end
  end
  return fields, contents
end

-- The number of the buyer's newest record, that record, and where their entry is in their bucket; nil if they have none.
local function index_find(shard, content, buyer)
  local find = string.find
  local tag = string.sub(buyer, 11, 12)
  local at = find(content, tag, 1, true)
  while at do
    if at % ENTRY == 1 then
      local n = struct.unpack('>I4', content, at + 2)
      local bytes = record(shard, n)
      if string.sub(bytes, 1, 16) == buyer then return n, bytes, at end
    end
    at = find(content, tag, at + 1, true)
  end
  return nil
end

-- The bucket with `n` as the buyer's newest number.
local function index_with(content, buyer, at, n)
  if not at then return content .. string.sub(buyer, 11, 12) .. struct.pack('>I4', n) end
  return string.sub(content, 1, at + 1) .. struct.pack('>I4', n) .. string.sub(content, at + ENTRY)
end

-- Writes the buckets `changed` (field -> true).
local function index_write(shard, contents, changed)
  local values = {}
  local m = 0
  for field in pairs(changed) do
    values[m + 1], values[m + 2] = field, contents[field]
    m = m + 2
  end
  call_all('HSET', shard.prefix .. 'idx', values, 2)
end

-- Sees to enough buckets for `most` buyers. Moves every entry when there are far too few; makes at least twice as many, so that this
-- stays rare.
local function index_room(shard, most)
  if most <= shard.buckets * FILL_MAX or shard.buckets >= BUCKETS_MAX then return end
  local buckets = shard.buckets
  while buckets * FILL < most and buckets < BUCKETS_MAX do buckets = buckets * 2 end
  local key = shard.prefix .. 'idx'
  local width, part = index_shape(buckets)
  local moved, values = {}, {}
  local old = redis.call('HVALS', key)
  for i = 1, #old do
    for at = 1, #old[i], ENTRY do
      local field = index_field(record(shard, (struct.unpack('>I4', old[i], at + 2))), width, part)
      local entries = moved[field] or {}
      moved[field] = entries
      entries[#entries + 1] = string.sub(old[i], at, at + ENTRY - 1)
    end
  end
  for field, entries in pairs(moved) do
    values[#values + 1] = field
    values[#values + 1] = table.concat(entries)
  end
  redis.call('DEL', key)
  call_all('HSET', key, values, 2)
  shard.buckets = buckets
end
