-- fs1_status: where the shard stands.
--
-- KEYS[1] meta
-- ARGV[1] sale uid
--
-- Reply: a result code (ABSENT, WRONG_SALE); after OK, separated by spaces: epoch, owner, state, number of the last event, time (ms), entries in
-- the outbox, free units, buyers, buckets. While the shard is being loaded, what isn't known yet is 0.

local function status(keys, args)
  local m = redis.call('HMGET', keys[1], 'uid', 'epoch', 'owner', 'state', 'n', 'free', 'buyers', 'buckets')
  if not m[1] then return code(ABSENT) end
  if m[1] ~= args[1] then return code(WRONG_SALE) end
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local entries = redis.call('XLEN', string.sub(keys[1], 1, -5) .. 'out')
  return code(OK) .. table.concat({ m[2], m[3], m[4], m[5] or '0', string.format('%d', now), entries, m[6] or '0', m[7] or '0', m[8] or '0' }, ' ')
end

redis.register_function{ function_name = 'fs1_status', callback = status, flags = { 'no-writes' } }
