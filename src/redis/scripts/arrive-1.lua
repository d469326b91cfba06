--[[
  Notes on a live session that its holder has used its new id: puts the time of that first use in place of its
  predecessor's name. Invariant: nothing but that name changes, no time to live either; the first use counts.

  KEYS[1]  the new id's key
  ARGV[1]  now, milliseconds since the epoch, 13 digits

  Output: 1 when noted, else 0
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 299)
if not string.find(head, '^{"__bouncer":{"k":"live"') then return 0 end
local at, _, handle = string.find(head, '"p":"([%w_-]+)"')
if not at or string.sub(handle, 1, 30) == string.rep('-', 30) then return 0 end
-- As wide as a handle: 30 dashes and 13 digits.
redis.call('SETRANGE', KEYS[1], at + 4, string.rep('-', 30) .. ARGV[1])
return 1
