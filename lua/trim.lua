-- fs1_trim: removes the outbox's entries whose last event is at most n. Nothing else ever removes one.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner   ARGV[4] n
--
-- Reply: a result code; after OK the number of entries removed, in digits.

local function trim(keys, args)
  local shard, refused = enter(keys, args, false)
  if not shard then return code(refused) end
  local n = tonumber(args[4])
  if not n then return code(MALFORMED) end
  return code(OK) .. redis.call('XTRIM', shard.prefix .. 'out', 'MINID', string.format('%d-0', n + 1))
end

-- It frees memory, so it must work when there is none left.
redis.register_function{ function_name = 'fs1_trim', callback = trim, flags = { 'allow-oom' } }
