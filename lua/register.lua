-- fs1_register: registers buyers ahead of the sale, in order, exactly as the core's Engine::register.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] owner ('' for gateways: then the shard must be open)   ARGV[4] buyers' keys, 16 bytes each
--
-- Reply: a result code; after OK one byte per buyer: 0 registered, 1 registered already, 2 the list is full.
-- Outbox entry: k g, h header, b the keys of those registered.

local REGISTRATIONS_AT_ONCE_MAX = 512

local function register(keys, args)
  local shard, refused = enter(keys, args, args[3] == '')
  if not shard then return code(refused) end
  local bytes = args[4]
  if #bytes % 16 ~= 0 or #bytes > 16 * REGISTRATIONS_AT_ONCE_MAX then return code(MALFORMED) end
  if shard.n + REGISTRATIONS_AT_ONCE_MAX > NUMBERS_MAX then return code(FULL) end
  shard.fresh = { heads = {}, tails = {}, overflow = {} }
  local buyers = {}
  for at = 1, #bytes, 16 do
    buyers[#buyers + 1] = string.sub(bytes, at, at + 15)
  end
  local fields, contents = index_read(shard, buyers)
  local registered, answers, fresh, records, changed = {}, {}, {}, {}, {}
  for i = 1, #buyers do
    local buyer, field = buyers[i], fields[i]
    local n, newest, at
    if registered[buyer] == nil then
      n, newest, at = index_find(shard, contents[field], buyer)
      registered[buyer] = select(4, standing(n and chain(shard, n, newest), -1, nil))
    end
    if registered[buyer] then
      answers[i] = '\1'
    elseif shard.registered >= shard.registrations_max then
      answers[i] = '\2'
    else
      registered[buyer] = true
      answers[i] = '\0'
      shard.registered = shard.registered + 1
      if not n then shard.buyers = shard.buyers + 1 end
      fresh[#fresh + 1] = buyer
      local head = buyer .. '\0\0\0\0\0\0\0\0'
      local tail = struct.pack('>I4I4I4I4I2BB', n or 0, 0, 0, shard.epoch, 0, 0, REGISTERED)
      shard.fresh.heads[#fresh], shard.fresh.tails[#fresh] = head, tail
      records[#fresh] = head .. tail
      contents[field] = index_with(contents[field], buyer, at, shard.n + #fresh)
      changed[field] = true
    end
  end
  if #fresh > 0 then
    index_write(shard, contents, changed)
    write_records(shard, records, 1)
    index_room(shard, shard.buyers + shard.free)
    commit(shard, {}, 'g', #fresh, 'b', table.concat(fresh))
  end
  return code(OK) .. table.concat(answers)
end

redis.register_function('fs1_register', register)
