-- The free units of one item: a stack of ranges in a list, 8 bytes each (first unit, length), the top last. What comes back is sold
-- first, exactly as in the core's FreeUnits, so that the same events leave the same stack.
--
-- A stack is read from the top as far as it is needed, changed in memory and written back by free_write.

local READ_MAX = 64 -- ranges read at once

local function free_open(shard, item)
  local key = shard.prefix .. 'f:' .. item
  local len = redis.call('LLEN', key)
  -- below: how many of the list's ranges aren't read; same: how many of those read are still as they are in the list
  return { key = key, len = len, below = len, same = 0, read = 1, firsts = {}, lens = {}, top = 0 }
end

-- Reads more ranges when none of those read is left; false if there is none.
local function free_more(stack)
  if stack.top > 0 then return true end
  if stack.below == 0 then return false end
  local from = math.max(0, stack.below - stack.read)
  local got = redis.call('LRANGE', stack.key, from, stack.below - 1)
  for i = 1, #got do
    stack.firsts[i], stack.lens[i] = struct.unpack('>I4I4', got[i])
  end
  stack.top, stack.same, stack.below = #got, #got, from
  stack.read = math.min(READ_MAX, stack.read * 4)
  return true
end

-- Takes `quantity` units, which must be there, from at most `ranges_max` ranges; returns them as first, len, ...
local function free_take(stack, quantity, ranges_max)
  local units, count = {}, 0
  while quantity > 0 and count < ranges_max and free_more(stack) do
    local top = stack.top
    local first, len = stack.firsts[top], stack.lens[top]
    local taken = math.min(len, quantity)
    units[2 * count + 1], units[2 * count + 2] = first, taken
    count = count + 1
    quantity = quantity - taken
    if taken == len then
      stack.top = top - 1
    else
      stack.firsts[top], stack.lens[top] = first + taken, len - taken
    end
    if stack.same >= top then stack.same = top - 1 end
  end
  return units
end

-- Takes `quantity` units off the top range if it has more than that, which is nearly always so; the first one's number, or nil.
local function free_take_one(stack, quantity)
  local top = stack.top
  if top == 0 or stack.lens[top] <= quantity then return nil end
  local first = stack.firsts[top]
  stack.firsts[top], stack.lens[top] = first + quantity, stack.lens[top] - quantity
  if stack.same >= top then stack.same = top - 1 end
  return first
end

-- Gives ranges back, to be sold next; one that ends where the top begins becomes part of it.
local function free_put(stack, units)
  for i = #units - 1, 1, -2 do
    local first, len = units[i], units[i + 1]
    if free_more(stack) and first + len == stack.firsts[stack.top] then
      stack.firsts[stack.top] = first
      stack.lens[stack.top] = stack.lens[stack.top] + len
      if stack.same >= stack.top then stack.same = stack.top - 1 end
    else
      stack.top = stack.top + 1
      stack.firsts[stack.top], stack.lens[stack.top] = first, len
    end
  end
end

-- Writes back what changed.
local function free_write(stack)
  local gone = stack.len - stack.below - stack.same
  if gone > 0 then redis.call('RPOP', stack.key, gone) end
  local pushed = {}
  for i = stack.same + 1, stack.top do
    pushed[#pushed + 1] = struct.pack('>I4I4', stack.firsts[i], stack.lens[i])
  end
  call_all('RPUSH', stack.key, pushed, 1)
end
