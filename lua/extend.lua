-- fs1_extend: lets the sale end later; an earlier end changes nothing. No event: whoever takes the shard over is told the end anew.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner   ARGV[4] the new end (ms)
--
-- Reply: a result code; after OK one byte: 1 it ends later now, 0 it ended then or later before.

local function extend(keys, args)
  local shard, refused = enter(keys, args, false)
  if not shard then return code(refused) end
  local closes = tonumber(args[4])
  if not closes then return code(MALFORMED) end
  if closes <= shard.closes then return string.char(OK, 0) end
  redis.call('HSET', keys[1], 'closes', args[4])
  return string.char(OK, 1)
end

redis.register_function{ function_name = 'fs1_extend', callback = extend, flags = { 'allow-oom' } }
