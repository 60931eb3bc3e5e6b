-- Plain requests; counts the answers whose body contains a text.
local threads, wanted = {}
matching = 0

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  wanted = args[1]
end

function response(status, headers, body)
  if string.find(body, wanted, 1, true) then matching = matching + 1 end
end

function done()
  local all = 0
  for _, thread in ipairs(threads) do all = all + thread:get("matching") end
  print("matching " .. all)
end
