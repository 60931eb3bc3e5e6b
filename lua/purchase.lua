-- fs1_purchase: decides a batch of attempts in order, exactly as the core's Engine::purchase.
--
-- KEYS[1] meta
-- ARGV[1] sale uid   ARGV[2] epoch   ARGV[3] '' (gateways know no owner)
-- ARGV[4] per item, by index: places that other shards have given out (u32 each; what is missing counts as 0)
-- ARGV[5] attempts, 40 bytes each: buyer 16 | request key 16 | item 2 | quantity 4 | 1 if there is a request key 1 | length of the buyer's id 1
-- ARGV[6] the buyers' ids, one behind the other
--
-- Reply: a result code (shared.lua); after OK: the time of the decision (u64, ms), the number of the last event before (u64), and per
-- attempt one byte and what belongs to it:
--   0 taken        tail of its record (records.lua), and with its overflow flag: number of ranges (u16), ranges
--   1 existing     its ticket's number (u32), tail and ranges as above
--   2 key conflict    3 not open, length and digits of the opening time (ms)    4 closed    5 not entitled
--   6 limit exceeded, limit (u32), held (u32)    7 empty: too few units here
-- The numbers of what was taken follow each other. Outbox entry: k p, h header, q attempts taken, i their ids, a their answers.

local TAKEN, EXISTING, KEY_CONFLICT, NOT_OPEN, SALE_CLOSED, NOT_ENTITLED, LIMIT, EMPTY = 0, 1, 2, 3, 4, 5, 6, 7
local ATTEMPT = 40
local ATTEMPTS_MAX = 512

-- Each attempt's buyer, and the distinct items of a batch; nil if its lengths don't fit.
local function read_attempts(requests, ids)
  local sub, byte = string.sub, string.byte
  if #requests % ATTEMPT ~= 0 or #requests > ATTEMPTS_MAX * ATTEMPT then return nil end
  local buyers, items, seen, length, count = {}, {}, {}, 0, 0
  for at = 0, #requests - ATTEMPT, ATTEMPT do
    count = count + 1
    buyers[count] = sub(requests, at + 1, at + 16)
    local high, low = byte(requests, at + 33, at + 34)
    local item = high * 256 + low
    if not seen[item] then
      seen[item] = true
      items[#items + 1] = item
    end
    length = length + byte(requests, at + 40)
  end
  if length ~= #ids then return nil end
  return buyers, items
end

-- The earlier reservation that answers this request key, what the buyer holds of the item, by which reservation last, and whether
-- they are registered.
local function standing(newest, item, fingerprint)
  local by_key, last, held, registered = nil, nil, 0, false
  local one = newest
  while one do
    if one.reserved then
      if fingerprint and one.fingerprint == fingerprint then by_key = one end
      if one.item == item then
        last = last or one
        if one.live then held = held + one.quantity end
      end
    elseif one.registered then
      registered = true
    end
    one = one.older
  end
  return by_key, last, held, registered
end

local function existing(one)
  return struct.pack('>BI4', EXISTING, one.n) .. one.tail
end

-- The answer of an attempt that takes nothing; nil if it may take units.
local function refuse(shard, stock, newest, item, quantity, fingerprint)
  local by_key, last, held, registered = nil, nil, 0, false
  if newest then by_key, last, held, registered = standing(newest, item, fingerprint) end
  if by_key then
    if by_key.item == item and by_key.quantity == quantity then return existing(by_key) end
    return code(KEY_CONFLICT)
  end
  if held > 0 and held >= stock.limit then return existing(last) end
  if shard.now < shard.opens_at then return string.char(NOT_OPEN, #shard.opens) .. shard.opens end
  if shard.now >= shard.closes then return code(SALE_CLOSED) end
  if shard.registered_only and not registered then return code(NOT_ENTITLED) end
  if held + quantity > stock.limit then return struct.pack('>BI4I4', LIMIT, stock.limit, held) end
  if quantity == 0 or quantity > stock.free then return code(EMPTY) end
  return nil
end

-- Takes units for an attempt, in memory; returns its tail, and its ranges if they belong into x.
local function take(shard, stock, item, quantity, flags, base, prev)
  local stack = stock.stack
  if not stack then
    stack = free_open(shard, item)
    stock.stack = stack
  end
  stock.free = stock.free - quantity
  stock.reservations = stock.reservations + 1
  local place = base + stock.reservations
  if quantity <= 255 then
    local first = free_take_one(stack, quantity)
    if first then return struct.pack('>I4I4I4I4I2BB', prev, place, first, shard.epoch, item, quantity, flags), nil end
  end
  local units = free_take(stack, quantity, math.huge)
  if #units == 2 and quantity <= 255 then
    return struct.pack('>I4I4I4I4I2BB', prev, place, units[1], shard.epoch, item, quantity, flags), nil
  end
  return struct.pack('>I4I4I4I4I2BB', prev, place, 0, shard.epoch, item, 0, flags + OVERFLOW), pack_ranges(units)
end

local function place_base(places, item)
  if #places < 4 * item + 4 then return 0 end
  return (struct.unpack('>I4', places, 4 * item + 1))
end

-- Decides all attempts in memory: shard.fresh gets what is to be written, and `plan` the answers, the index' changed buckets, and which
-- attempts took units.
local function decide(shard, items, args, buyers, plan)
  local sub, unpacked = string.sub, struct.unpack
  local places, requests = args[4], args[5]
  local answers, taken, contents = plan.answers, plan.taken, plan.contents
  local heads, tails, overflow = shard.fresh.heads, shard.fresh.tails, shard.fresh.overflow
  local bases, count, m = {}, 0, 0
  for i = 1, #buyers do
    local from = (i - 1) * ATTEMPT
    local buyer, field = buyers[i], plan.fields[i]
    local item, quantity, keyed = unpacked('>I2I4B', requests, from + 33)
    local n, bytes, at = index_find(shard, contents[field], buyer)
    local mine = n and chain(shard, n, bytes)
    local answer = refuse(shard, items[item], mine, item, quantity, keyed == 1 and mine and sub(requests, from + 17, from + 24))
    m = m + 1
    if answer then
      answers[m] = answer
    else
      bases[item] = bases[item] or place_base(places, item)
      local flags = keyed == 1 and RESERVED + LIVE + KEYED or RESERVED + LIVE
      local tail, ranges = take(shard, items[item], item, quantity, flags, bases[item], n or 0)
      count = count + 1
      taken[count] = i
      heads[count], tails[count] = sub(requests, from + 1, from + 24), tail
      answers[m], answers[m + 1] = '\0', tail
      m = m + 1
      if ranges then
        overflow[shard.n + count] = ranges
        m = m + 1
        answers[m] = struct.pack('>I2', #ranges / 8) .. ranges
      end
      contents[field] = index_with(contents[field], buyer, at, shard.n + count)
      plan.changed[field] = true
      if not n then shard.buyers = shard.buyers + 1 end
    end
  end
end

-- The outbox' three strings: requests, ids and answers of the attempts that took units.
local function outbox_of(shard, requests, ids, taken)
  local sub = string.sub
  local wanted, parts, id_parts, answers = 1, {}, {}, {}
  local id_at = 0
  for i = 1, #requests / ATTEMPT do
    local length = string.byte(requests, i * ATTEMPT)
    if taken[wanted] == i then
      parts[wanted] = sub(requests, (i - 1) * ATTEMPT + 1, i * ATTEMPT)
      id_parts[wanted] = sub(ids, id_at + 1, id_at + length)
      local ranges = shard.fresh.overflow[shard.n + wanted]
      answers[wanted] = '\0' .. shard.fresh.tails[wanted] .. (ranges and struct.pack('>I2', #ranges / 8) .. ranges or '')
      wanted = wanted + 1
    end
    id_at = id_at + length
  end
  return table.concat(parts), table.concat(id_parts), table.concat(answers)
end

local function write(shard, items, args, plan)
  local heads, tails, records, overflow = shard.fresh.heads, shard.fresh.tails, {}, {}
  for i = 1, #heads do
    records[2 * i - 1], records[2 * i] = heads[i], tails[i]
  end
  for n, ranges in pairs(shard.fresh.overflow) do
    overflow[#overflow + 1] = n
    overflow[#overflow + 1] = ranges
  end
  local requests, ids, answers = args[5], args[6], plan.body
  if #plan.taken * ATTEMPT < #requests then
    requests, ids, answers = outbox_of(shard, requests, ids, plan.taken)
  end
  write_records(shard, records, 2)
  index_write(shard, plan.contents, plan.changed)
  call_all('HSET', shard.prefix .. 'x', overflow, 2)
  for _, stock in pairs(items) do
    if stock.stack then free_write(stock.stack) end
  end
  commit(shard, items, 'p', #heads, 'q', requests, 'i', ids, 'a', answers)
end

local function purchase(keys, args)
  local shard, refused = enter(keys, args, true)
  if not shard then return code(refused) end
  local buyers, wanted = read_attempts(args[5], args[6])
  if not buyers then return code(MALFORMED) end
  local items = items_of(shard, wanted)
  if not items then return code(MALFORMED) end
  if shard.n + ATTEMPTS_MAX > NUMBERS_MAX then return code(FULL) end
  shard.opens_at = tonumber(shard.opens)
  shard.fresh = { heads = {}, tails = {}, overflow = {} }
  local plan = { answers = {}, taken = {}, changed = {} }
  plan.fields, plan.contents = index_read(shard, buyers)
  decide(shard, items, args, buyers, plan)
  plan.body = table.concat(plan.answers)
  local header = struct.pack('>BI8I8', OK, shard.now, shard.n)
  if #plan.taken > 0 then write(shard, items, args, plan) end
  return header .. plan.body
end

redis.register_function('fs1_purchase', purchase)
