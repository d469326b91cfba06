--[[
  The first use of a new id, in one step ("used" and "arrive", for a single server): starts the old id's tail and notes the
  time on the new one.
  Invariant: only the first use counts; no time to live changes.

  KEYS[1]  the new id's key
  KEYS[2]  the old id's key
  ARGV[1]  now, milliseconds since the epoch, 13 digits

  Output: 1 when the tail began, else 0
]]
local new = redis.call('GETRANGE', KEYS[1], 0, 299)
local at, _, handle = string.find(new, '"p":"([%w_-]+)"')
if at and string.find(new, '^{"__bouncer":{"k":"live"') and string.sub(handle, 1, 30) ~= string.rep('-', 30) then
  redis.call('SETRANGE', KEYS[1], at + 4, string.rep('-', 30) .. ARGV[1])
end
local old = redis.call('GETRANGE', KEYS[2], 0, 63)
if string.match(old, '^{"__bouncer":{"k":"moved","u":"(%d+)"') ~= '0000000000000' then return 0 end
redis.call('SETRANGE', KEYS[2], 31, ARGV[1])
return 1
