--[[
  Takes what was kept of a session out of the tombstone of its end. Invariant: the tombstone itself stays as it is, and
  stands no longer or shorter; anything else at the key is left alone.

  KEYS[1]  the session's key
  ARGV[1]  the login id (lid) whose end it must be

  Output: 1 when something was taken out, else 0
]]
local value = redis.call('GET', KEYS[1]) or ''
local head = string.sub(value, 1, 300)
if not string.match(head, '^{"__bouncer":{"k":"revoked"') then return 0 end
if string.match(head, '"l":"([%w_-]*)"') ~= ARGV[1] then return 0 end
local kept = string.find(value, '","kept":', 1, true)
if not kept then return 0 end
redis.call('SET', KEYS[1], string.sub(value, 1, kept) .. '},"cookie":{}}', 'KEEPTTL')
return 1
