-- fs1_load: takes in units under a load id, once per load and item.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner   ARGV[4] load (u32)   ARGV[5] item   ARGV[6] first unit   ARGV[7] how many units
--
-- Reply: a result code; after OK one byte: 1 loaded, 0 this load came in before (or has no units). Outbox entry: k l, h header, b load, item, first, len.

local function load_units(keys, args)
  local shard, refused = enter(keys, args, false)
  if not shard then return code(refused) end
  local load, item, first, len = tonumber(args[4]), tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
  if not (load and item and first and len) then return code(MALFORMED) end
  local items = items_of(shard, { item })
  if not items then return code(MALFORMED) end
  if shard.n + 1 > NUMBERS_MAX then return code(FULL) end
  local field = load .. ':' .. item
  if len == 0 or redis.call('HEXISTS', shard.prefix .. 'loads', field) == 1 then return string.char(OK, 0) end
  local stack = free_open(shard, item)
  free_put(stack, { first, len })
  items[item].free = items[item].free + len
  index_room(shard, shard.buyers + shard.free + len)
  free_write(stack)
  redis.call('HSET', shard.prefix .. 'loads', field, shard.n + 1)
  write_records(shard, { other_record() }, 1)
  commit(shard, items, 'l', 1, 'b', struct.pack('>I4I2I4I4', load, item, first, len))
  return string.char(OK, 1)
end

redis.register_function('fs1_load', load_units)
