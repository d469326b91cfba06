--[[
  A late answer has given the browser its old id again: names the predecessor on the live session once more, so that the
  next use of the new id counts as its first. Invariant: nothing but that field changes, no time to live either; a
  predecessor that is named already stays.

  KEYS[1]  the new id's key
  ARGV[1]  the predecessor's handle

  Output: 1 when named, else 0
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 299)
if not string.find(head, '^{"__bouncer":{"k":"live"') then return 0 end
local at, _, handle = string.find(head, '"p":"([%w_-]+)"')
if not at or #handle ~= #ARGV[1] or string.sub(handle, 1, 30) ~= string.rep('-', 30) then return 0 end
redis.call('SETRANGE', KEYS[1], at + 4, ARGV[1])
return 1
