-- fs1_transfer_out: sends up to so many free units of an item to another shard, from at most 256 ranges.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner   ARGV[4] to which shard   ARGV[5] item   ARGV[6] how many units at most
--
-- Reply: a result code; after OK one byte: 1 sent, 0 no unit is free. Outbox entry: k o, h header, b shard, item, ranges.

local TRANSFER_RANGES_MAX = 256

local function transfer_out(keys, args)
  local shard, refused = enter(keys, args, false)
  if not shard then return code(refused) end
  local to, item, want = tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  if not (to and item and want) then return code(MALFORMED) end
  local items = items_of(shard, { item })
  if not items then return code(MALFORMED) end
  if shard.n + 1 > NUMBERS_MAX then return code(FULL) end
  local stack = free_open(shard, item)
  local units = free_take(stack, want, TRANSFER_RANGES_MAX)
  if #units == 0 then return string.char(OK, 0) end
  for i = 2, #units, 2 do
    items[item].free = items[item].free - units[i]
  end
  free_write(stack)
  local ranges = pack_ranges(units)
  redis.call('HSET', shard.prefix .. 'outs', to, struct.pack('>I4I2', shard.n + 1, item) .. ranges)
  write_records(shard, { other_record() }, 1)
  commit(shard, items, 'o', 1, 'b', struct.pack('>I2I2', to, item) .. ranges)
  return string.char(OK, 1)
end

redis.register_function('fs1_transfer_out', transfer_out)
