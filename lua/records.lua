-- One record of 44 bytes per event, so that what a buyer holds can be found and compared exactly:
--   buyer 16 | start of the request key 8 | prev 4 | place 4 | first unit 4 | epoch in which it was made 4 | item 2 | quantity 1 | flags 1
-- prev is the number of the same buyer's record before, 0 if there is none. The first 24 bytes are the record's head; the last 20 are its
-- tail, which also travels in answers and in the outbox. Units that aren't one range of at most 255 lie in the hash x.
--
-- What a call has decided but not yet written is in shard.fresh: heads, tails, and the ranges that belong into x.

local RESERVED = 1    -- a reservation
local LIVE = 2        -- that still holds its units
local KEYED = 4       -- that came with a request key
local OVERFLOW = 8    -- its units lie in x
local REGISTERED = 16 -- a registration
local OTHER = 32      -- an event without a buyer

-- The record of event n.
local function record(shard, n)
  if n > shard.n then return shard.fresh.heads[n - shard.n] .. shard.fresh.tails[n - shard.n] end
  local chunk = math.floor((n - 1) / CHUNK)
  local from = (n - 1 - chunk * CHUNK) * RECORD
  local bytes = redis.call('GETRANGE', shard.prefix .. 'r:' .. chunk, from, from + RECORD - 1)
  if #bytes ~= RECORD then error('flashsale: the record of event ' .. n .. ' is missing; rebuild the shard') end
  return bytes
end

-- Writes records as those of the events behind the last one. `parts`: each in `each` pieces.
local function write_records(shard, parts, each)
  local done, count = 0, #parts / each
  while done < count do
    local chunk = math.floor((shard.n + done) / CHUNK)
    local inside = shard.n + done - chunk * CHUNK
    local fit = math.min(CHUNK - inside, count - done)
    local key = shard.prefix .. 'r:' .. chunk
    -- All of the string at once: grown bit by bit, Redis would keep up to twice as much.
    if inside == 0 then redis.call('SETRANGE', key, CHUNK * RECORD - 1, '\0') end
    redis.call('SETRANGE', key, inside * RECORD, table.concat(parts, '', done * each + 1, (done + fit) * each))
    done = done + fit
  end
end

-- The record of an event without a buyer.
local function other_record()
  return string.rep('\0', RECORD - 1) .. string.char(OTHER)
end

-- The ranges of a reservation with these flags, and how many units they hold.
local function units_of(shard, n, first, quantity, flags)
  if flags % (2 * OVERFLOW) < OVERFLOW then return { first, quantity }, quantity end
  if n > shard.n then return unpack_ranges(shard.fresh.overflow[n]) end
  return unpack_ranges(redis.call('HGET', shard.prefix .. 'x', n))
end

-- One record of a buyer's chain, read.
local function link(shard, n, bytes)
  local prev, place, first, made, item, quantity, flags = struct.unpack('>I4I4I4I4I2BB', bytes, 25)
  local one = { n = n, prev = prev, item = item, quantity = quantity, fingerprint = '', tail = string.sub(bytes, 25) }
  one.registered = flags == REGISTERED
  one.reserved = flags % (2 * RESERVED) >= RESERVED
  one.live = flags % (2 * LIVE) >= LIVE
  if flags % (2 * KEYED) >= KEYED then one.fingerprint = string.sub(bytes, 17, 24) end
  if flags % (2 * OVERFLOW) >= OVERFLOW then
    local ranges, units = units_of(shard, n, first, quantity, flags)
    one.quantity = units
    one.tail = one.tail .. struct.pack('>I2', #ranges / 2) .. pack_ranges(ranges)
  end
  return one
end

-- A buyer's records as a chain, the newest first; `bytes` is the newest one's record.
local function chain(shard, n, bytes)
  local newest = link(shard, n, bytes)
  local last = newest
  while last.prev ~= 0 do
    last.older = link(shard, last.prev, record(shard, last.prev))
    last = last.older
  end
  return newest
end
