--[[
  The session goes on under a new id (regenerate, rotate): puts a tombstone of kind "moved" in the old id's place, which
  lists every id it went to. Invariant: whoever ends the old id finds all its successors, also when two tabs moved it
  at the same time; nothing that ended is moved.

  KEYS[1]  the old id's key
  ARGV[1]  now, milliseconds since the epoch
  ARGV[2]  the new id's handle
  ARGV[3]  the new id, sealed with a key that only a holder of the old id has, or '-': old and new are not one login,
           nobody is forwarded
  ARGV[4]  the tombstone's time to live in milliseconds, at least
  ARGV[5]  '1': the store's own rotation: only once (of two requests that rotate at the same time, one does), and the tombstone
           lives no longer than the old id would have, unused; '0': also what has moved before, to the session's absolute end
  ARGV[6]  SHA-1 of the data as it was loaded, or '-': with another one there the move is refused, or what somebody has taken
           out of it meanwhile would live again

  Output: { 'moved' }; or { 'gone' }, { 'logout' }, { 'foreign' }, { 'taken' } (moved or changed before), or { 'revoked', lid, reason, case, time } when refused
]]
local value = redis.call('GET', KEYS[1])
if not value then return { 'gone' } end
local head = string.sub(value, 1, 300)
local kind = string.match(head, '^{"__bouncer":{"k":"(%l+)"')
local lid = string.match(head, '"l":"([%w_-]*)"') or ''
if kind == 'revoked' then
  return { kind, lid, string.match(head, '"reason":"([%w_]+)"'), string.match(head, '"case":"([%w-]+)"'),
    string.match(head, '"at":(%d+)') }
end
if kind == 'moved' and ARGV[5] == '1' then return { 'taken' } end
if ARGV[6] ~= '-' and redis.sha1hex(string.match(value, '}(.*)$')) ~= ARGV[6] then return { 'taken' } end
if kind ~= 'live' and kind ~= 'moved' then return { kind or 'foreign' } end
local used, successors, sealed = '0000000000000', ARGV[2], ARGV[3]
if kind == 'moved' then
  used = string.match(head, '"u":"(%d+)"')
  successors = string.match(value, '"s":"([%w_ -]*)"') .. ' ' .. successors
  sealed = string.match(value, '"f":"([%w_. -]*)"') .. ' ' .. sealed
end
local ends = ARGV[5] == '0' and tonumber(string.match(head, '"e":(%d+)')) or 0
local ttl = math.max(tonumber(ARGV[4]), ends - tonumber(ARGV[1]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], '{"__bouncer":{"k":"moved","u":"' .. used .. '","at":' .. ARGV[1] .. ',"l":"' .. lid
  .. '","s":"' .. successors .. '","f":"' .. sealed .. '"},"cookie":{}}', 'PX', ttl)
return { 'moved' }
