-- fs1_transfer_in: takes units that another shard sent, each transfer once.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner   ARGV[4] from which shard   ARGV[5] the number of the donor's event (u32)
-- ARGV[6] item   ARGV[7] ranges, 8 bytes each
--
-- Reply: a result code; after OK one byte: 1 taken, 0 it came in before. Outbox entry: k i, h header, b shard, number, item, ranges.

local function transfer_in(keys, args)
  local shard, refused = enter(keys, args, false)
  if not shard then return code(refused) end
  local from, number, item = tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  local ranges, units = unpack_ranges(args[7])
  if not (from and number and item and ranges) then return code(MALFORMED) end
  local items = items_of(shard, { item })
  if not items then return code(MALFORMED) end
  if shard.n + 1 > NUMBERS_MAX then return code(FULL) end
  local last = redis.call('HGET', shard.prefix .. 'ins', from)
  if last and number <= struct.unpack('>I4', last) then return string.char(OK, 0) end
  local stack = free_open(shard, item)
  free_put(stack, ranges)
  items[item].free = items[item].free + units
  index_room(shard, shard.buyers + shard.free + units)
  free_write(stack)
  redis.call('HSET', shard.prefix .. 'ins', from, struct.pack('>I4I4', number, shard.n + 1))
  write_records(shard, { other_record() }, 1)
  commit(shard, items, 'i', 1, 'b', struct.pack('>I2I4I2', from, number, item) .. args[7])
  return string.char(OK, 1)
end

redis.register_function('fs1_transfer_in', transfer_in)
