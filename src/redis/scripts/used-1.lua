--[[
  Notes on a moved id's tombstone that its successor has been used for the first time: from then on runs the short tail
  in which the old id is still served. Invariant: only the first use counts; no time to live changes.

  KEYS[1]  the old id's key
  ARGV[1]  now, milliseconds since the epoch, 13 digits

  Output: 1 when noted, else 0
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 63)
-- {"__bouncer":{"k":"moved","u":"  is 31 bytes: the 13 digits of the first use follow.
if string.match(head, '^{"__bouncer":{"k":"moved","u":"(%d+)"') ~= '0000000000000' then return 0 end
redis.call('SETRANGE', KEYS[1], 31, ARGV[1])
return 1
