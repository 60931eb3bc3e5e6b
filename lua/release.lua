-- fs1_release: frees reservations' units, in order, each only if that very ticket still holds them.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner   ARGV[4] tickets, 9 bytes each: epoch in which it was made 4 | number 4 | reason 1
--
-- Reply: a result code; after OK one byte per ticket: 1 released, 0 it doesn't hold any unit. Outbox entry: k s, h header, b those released.

local RELEASES_MAX = 512

local function release(keys, args)
  local shard, refused = enter(keys, args, false)
  if not shard then return code(refused) end
  local bytes = args[4]
  if #bytes % 9 ~= 0 or #bytes > 9 * RELEASES_MAX then return code(MALFORMED) end
  if shard.n + RELEASES_MAX > NUMBERS_MAX then return code(FULL) end
  local answers, done, released, records, wanted, seen = {}, {}, {}, {}, {}, {}
  for at = 1, #bytes, 9 do
    local made, n = struct.unpack('>I4I4', bytes, at)
    local answer = '\0'
    if n > 0 and n <= shard.n and not done[n] then
      local _, _, first, made_then, item, quantity, flags = struct.unpack('>I4I4I4I4I2BB', record(shard, n), 25)
      local live = flags % (2 * RESERVED) >= RESERVED and flags % (2 * LIVE) >= LIVE
      if live and made_then == made then
        answer = '\1'
        done[n] = true
        local ranges, units = units_of(shard, n, first, quantity, flags)
        released[#released + 1] = { n = n, item = item, ranges = ranges, units = units, flags = flags, ticket = string.sub(bytes, at, at + 8) }
        records[#records + 1] = other_record()
        if not seen[item] then
          seen[item] = true
          wanted[#wanted + 1] = item
        end
      end
    end
    answers[#answers + 1] = answer
  end
  if #released > 0 then
    local items = items_of(shard, wanted)
    local tickets, freed = {}, 0
    for i = 1, #released do
      local one = released[i]
      local stock = items[one.item]
      stock.stack = stock.stack or free_open(shard, one.item)
      free_put(stock.stack, one.ranges)
      stock.free = stock.free + one.units
      freed = freed + one.units
      tickets[i] = one.ticket
    end
    index_room(shard, shard.buyers + shard.free + freed)
    for i = 1, #released do
      local one = released[i]
      local chunk = math.floor((one.n - 1) / CHUNK)
      redis.call('SETRANGE', shard.prefix .. 'r:' .. chunk, (one.n - chunk * CHUNK) * RECORD - 1, string.char(one.flags - LIVE))
    end
    for _, stock in pairs(items) do
      free_write(stock.stack)
    end
    write_records(shard, records, 1)
    commit(shard, items, 's', #released, 'b', table.concat(tickets))
  end
  return code(OK) .. table.concat(answers)
end

redis.register_function('fs1_release', release)
