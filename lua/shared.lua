-- What every operation of a shard needs: result codes, how a call is checked, how events are kept.
--
-- All of a shard's keys begin with the prefix fs:{<sale uid, 32 hex digits>:<shard>}: and follow from KEYS[1], its `meta`:
--   meta    hash: uid, epoch, owner, state (loading | closed | open), n (number of the last event), opens, closes (ms),
--           registered_only (0 | 1), registrations_max, registered, buyers (distinct buyers with a record), buckets
--           (of the index), free (units of all items), items (how many), and per item i<ix>: limit, free, reservations (3 x u32)
--   r:<c>   string: the records of the events c * 186 + 1 ... (c + 1) * 186, 44 bytes each (see records.lua)
--   idx     hash: the buyers' index (see index.lua)
--   x       hash: units of reservations that don't fit their record; event number -> ranges
--   f:<ix>  list: the free ranges of an item, the next one to be sold last (see free.lua)
--   loads, outs, ins   hashes: loads taken, last transfer to and from each shard
--   out     stream: the outbox; the id of an entry is <number of its last event>-0
--
-- Integers are big-endian. The globals string, table, struct don't exist while the library is loaded: only functions use them.

-- Result codes: the first byte of every reply.
local OK = 0           -- done; what follows depends on the operation
local ABSENT = 1       -- the shard isn't in this Redis: it must be rebuilt, never seeded again
local WRONG_SALE = 2   -- the keys belong to another sale
local WRONG_EPOCH = 3  -- the shard has another epoch
local WRONG_OWNER = 4  -- the shard's epoch has another owner
local CLOSED = 5       -- being loaded, or the gate is closed
local MALFORMED = 6    -- an argument can't be read; nothing was written
local FULL = 7         -- the shard's numbers are used up; nothing was written

local RECORD = 44      -- bytes of a record
local CHUNK = 186      -- records in a string: with its header just below 8 KiB, an allocation's size
local NUMBERS_MAX = 4294967295
local ARGS_MAX = 1000  -- values in one inner command: Lua's stack has a bound

local function code(byte)
  return string.char(byte)
end

-- Checks a call against meta. ARGV[1] sale uid, ARGV[2] epoch, ARGV[3] owner ('' for gateways, who only know the epoch).
-- `gate`: whether the shard must be open. Returns what meta says, or nil and a result code.
local function enter(keys, args, gate)
  local m = redis.call('HMGET', keys[1], 'uid', 'epoch', 'owner', 'state', 'n', 'opens', 'closes', 'registered_only',
    'registrations_max', 'registered', 'buckets', 'buyers', 'free', 'items')
  if not m[1] then return nil, ABSENT end
  if m[1] ~= args[1] then return nil, WRONG_SALE end
  if m[2] ~= args[2] then return nil, WRONG_EPOCH end
  if args[3] ~= '' and m[3] ~= args[3] then return nil, WRONG_OWNER end
  if args[3] == '' and not gate then return nil, WRONG_OWNER end
  if m[4] == 'loading' or (gate and m[4] ~= 'open') then return nil, CLOSED end
  local time = redis.call('TIME')
  return {
    meta = keys[1],
    prefix = string.sub(keys[1], 1, -5),
    epoch = tonumber(m[2]),
    n = tonumber(m[5]),
    opens = m[6],
    closes = tonumber(m[7]),
    registered_only = m[8] == '1',
    registrations_max = tonumber(m[9]),
    registered = tonumber(m[10]),
    buckets = tonumber(m[11]),
    buyers = tonumber(m[12]),
    free = tonumber(m[13]),
    items = tonumber(m[14]),
    now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000),
  }
end

-- The items `wanted` (numbers), each { limit, free, reservations }; nil if one of them doesn't exist.
local function items_of(shard, wanted)
  local ask = { 'HMGET', shard.meta }
  for i = 1, #wanted do
    if wanted[i] >= shard.items then return nil end
    ask[i + 2] = 'i' .. wanted[i]
  end
  local items = {}
  if #wanted == 0 then return items end
  local got = redis.call(unpack(ask))
  for i = 1, #wanted do
    local limit, free, reservations = struct.unpack('>I4I4I4', got[i])
    items[wanted[i]] = { limit = limit, free = free, reservations = reservations, before = free }
  end
  return items
end

-- Calls `command` on `key` with all `values`, in bounded pieces; `width` values belong together.
local function call_all(command, key, values, width)
  local most = ARGS_MAX - ARGS_MAX % width
  for from = 1, #values, most do
    redis.call(command, key, unpack(values, from, math.min(from + most - 1, #values)))
  end
end

-- first, len, first, len, ... as bytes.
local function pack_ranges(ranges)
  local parts = {}
  for i = 1, #ranges, 2 do
    parts[#parts + 1] = struct.pack('>I4I4', ranges[i], ranges[i + 1])
  end
  return table.concat(parts)
end

-- The ranges in `bytes`, and how many units they hold; nil if these aren't ranges.
local function unpack_ranges(bytes)
  if #bytes % 8 ~= 0 then return nil end
  local ranges, units = {}, 0
  for at = 1, #bytes, 8 do
    local first, len = struct.unpack('>I4I4', bytes, at)
    ranges[#ranges + 1] = first
    ranges[#ranges + 1] = len
    units = units + len
  end
  return ranges, units
end

-- Keeps what changed: numbers, counters and items in meta, and the batch of events in the outbox.
-- kind: p purchase, g register, l load, s release, o transfer out, i transfer in; fields: the entry's own.
local function commit(shard, items, kind, count, ...)
  local header = struct.pack('>I4I4I8I2', shard.n + 1, shard.epoch, shard.now, count)
  local n = shard.n + count
  local changed = { 'n', n, 'buyers', shard.buyers, 'registered', shard.registered, 'buckets', shard.buckets }
  for item, stock in pairs(items) do
    shard.free = shard.free + stock.free - stock.before
    changed[#changed + 1] = 'i' .. item
    changed[#changed + 1] = struct.pack('>I4I4I4', stock.limit, stock.free, stock.reservations)
  end
  changed[#changed + 1] = 'free'
  changed[#changed + 1] = shard.free
  redis.call('HSET', shard.meta, unpack(changed))
  redis.call('XADD', shard.prefix .. 'out', string.format('%d-0', n), 'k', kind, 'h', header, ...)
end
