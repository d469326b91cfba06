--[[
  Notes on a live session that its holder has used its new id: takes the name of its predecessor off it.
  Invariant: nothing but that name changes, no time to live either.

  KEYS[1]  the new id's key

  Output: 1 when the name was taken off, else 0
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 299)
if not string.find(head, '^{"__bouncer":{"k":"live"') then return 0 end
local at, _, handle = string.find(head, '"p":"([%w_-]+)"')
if not at or handle == string.rep('-', #handle) then return 0 end
redis.call('SETRANGE', KEYS[1], at + 4, string.rep('-', #handle))
return 1
