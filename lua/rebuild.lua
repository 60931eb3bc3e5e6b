-- fs1_begin, fs1_put, fs1_loaded: an owner replaces all that Redis holds of its shard. The shard is closed meanwhile.
-- fs1_open, fs1_close: the gate.
--
-- KEYS[1] meta; ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner, and for fs1_put: ARGV[4] a command (SET, SETRANGE, RPUSH, HSET, UNLINK),
-- ARGV[5] the key behind the shard's prefix, ARGV[6...] the command's further arguments.
--
-- Reply: a result code. fs1_begin refuses with WRONG_EPOCH if a higher epoch has the shard, and with WRONG_OWNER if another owner has
-- this epoch; it may be repeated. fs1_put and fs1_loaded want exactly the epoch and owner that began. fs1_close closes the gate of
-- every epoch up to the caller's, whoever owns it.

local function begin(keys, args)
  local m = redis.call('HMGET', keys[1], 'uid', 'epoch', 'owner')
  local epoch = tonumber(args[2])
  if not epoch then return code(MALFORMED) end
  if m[1] then
    if m[1] ~= args[1] then return code(WRONG_SALE) end
    if tonumber(m[2]) > epoch then return code(WRONG_EPOCH) end
    if tonumber(m[2]) == epoch and m[3] ~= args[3] then return code(WRONG_OWNER) end
  end
  redis.call('DEL', keys[1])
  redis.call('HSET', keys[1], 'uid', args[1], 'epoch', args[2], 'owner', args[3], 'state', 'loading')
  return code(OK)
end

-- Whether this caller may act in `state`; a result code.
local function mine(keys, args, state)
  local m = redis.call('HMGET', keys[1], 'uid', 'epoch', 'owner', 'state')
  if not m[1] then return ABSENT end
  if m[1] ~= args[1] then return WRONG_SALE end
  if m[2] ~= args[2] then return WRONG_EPOCH end
  if m[3] ~= args[3] then return WRONG_OWNER end
  if state and m[4] ~= state then return CLOSED end
  return OK
end

local PUT = { SET = true, SETRANGE = true, RPUSH = true, HSET = true, UNLINK = true }

local function put(keys, args)
  local may = mine(keys, args, 'loading')
  if may ~= OK then return code(may) end
  if not PUT[args[4]] or not args[5] or (args[5] == 'meta' and args[4] ~= 'HSET') then return code(MALFORMED) end
  redis.call(args[4], string.sub(keys[1], 1, -5) .. args[5], unpack(args, 6))
  return code(OK)
end

local function loaded(keys, args)
  local may = mine(keys, args, 'loading')
  if may ~= OK then return code(may) end
  redis.call('HSET', keys[1], 'state', 'closed')
  return code(OK)
end

local function open(keys, args)
  local may = mine(keys, args, nil)
  if may ~= OK then return code(may) end
  if redis.call('HGET', keys[1], 'state') == 'loading' then return code(CLOSED) end
  redis.call('HSET', keys[1], 'state', 'open')
  return code(OK)
end

local function close(keys, args)
  local m = redis.call('HMGET', keys[1], 'uid', 'epoch', 'state')
  if not m[1] then return code(ABSENT) end
  if m[1] ~= args[1] then return code(WRONG_SALE) end
  if tonumber(m[2]) > tonumber(args[2]) then return code(WRONG_EPOCH) end
  if m[3] == 'open' then redis.call('HSET', keys[1], 'state', 'closed') end
  return code(OK)
end

redis.register_function('fs1_begin', begin)
redis.register_function('fs1_put', put)
redis.register_function('fs1_loaded', loaded)
redis.register_function{ function_name = 'fs1_open', callback = open, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'fs1_close', callback = close, flags = { 'allow-oom' } }
