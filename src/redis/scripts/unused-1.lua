--[[
  A late answer has given the browser this moved id again: its successor counts as not used yet, as if the answer that
  named it had been lost. Invariant: no time to live changes, and nothing but the time of first use.

  KEYS[1]  the old id's key

  Output: 1 when written, else 0
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 63)
-- {"__bouncer":{"k":"moved","u":"  is 31 bytes: the 13 digits of the first use follow.
if not string.find(head, '^{"__bouncer":{"k":"moved","u":"%d+"') then return 0 end
redis.call('SETRANGE', KEYS[1], 31, '0000000000000')
return 1
