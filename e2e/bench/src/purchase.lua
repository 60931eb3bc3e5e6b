-- A purchase as a browser sends it, each by another buyer; several together if told so.
local number, together, head, tail = 0, 1

function init(args)
  local crowd = args[1] or "a"
  together = tonumber(args[2] or "1")
  local body = '{"item":"phone-15-black","quantity":1}'
  head = "POST " .. wrk.path .. " HTTP/1.1\r\n" ..
    "Host: " .. wrk.host .. ":" .. wrk.port .. "\r\n" ..
    "Content-Type: application/json\r\n" ..
    "Accept: application/json\r\n" ..
    "Accept-Encoding: gzip, deflate, br\r\n" ..
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" ..
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n" ..
    "Origin: https://shop.example\r\n" ..
    "Referer: https://shop.example/sales/phone-launch\r\n" ..
    "Authorization: Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6InNob3AtMSJ9.eyJzdWIiOiJidXllci0wMTIzNDU2Nzg5IiwiaXNzIjoiaHR0cHM6" ..
    "Ly9zaG9wLmV4YW1wbGUifQ.c2lnbmF0dXJlLXRoYXQtbm9ib2R5LWxvb2tzLWF0LWhlcmU\r\n" ..
    "Idempotency-Key: 0f8fad5b-d9cb-469f-a165-70867728950e\r\n" ..
    "Content-Length: " .. #body .. "\r\n" ..
    "X-Buyer-Id: buyer-" .. crowd .. "-"
  tail = "\r\n\r\n" .. body
end

local function purchase()
  number = number + 1
  return head .. number .. tail
end

function request()
  local all = purchase()
  for _ = 2, together do all = all .. purchase() end
  return all
end
