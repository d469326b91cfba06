--[[
  Ends a session for good: puts a tombstone of kind "revoked" in its place. Invariant: the first reason and time stay;
  a session that a later login holds under the same id is not touched by an earlier login's late job.

  KEYS[1]  the session's key
  ARGV[1]  now, milliseconds since the epoch
  ARGV[2]  the login id (lid) whose session is meant
  ARGV[3]  reason code
  ARGV[4]  case number
  ARGV[5]  the tombstone's time to live in milliseconds, at least

  Output: { outcome, time of the tombstone in milliseconds, successors }; outcome is 'revoked' (also when repeated by
  the same login), 'not_found' (nothing stood there; the tombstone was written all the same), 'already_revoked' (by
  another login) or 'other_login' (untouched); successors are the handles that a moved id went to, separated by spaces
]]
local value = redis.call('GET', KEYS[1]) or ''
local head = string.sub(value, 1, 300)
local kind = string.match(head, '^{"__bouncer":{"k":"(%l+)"')
local lid = string.match(head, '"l":"([%w_-]*)"') or ''
local successors = ''
if kind and kind ~= 'live' then successors = string.match(value, '"s":"([%w_ -]*)"') or '' end
if kind == 'revoked' then
  local at = string.match(head, '"at":(%d+)')
  if lid ~= ARGV[2] then return { 'already_revoked', at, '' } end
  if string.find(head, '"was":"absent"', 1, true) then return { 'not_found', at, successors } end
  return { 'revoked', at, successors }
end
if lid ~= '' and lid ~= ARGV[2] then return { 'other_login', '0', '' } end
local was = kind or (head == '' and 'absent' or 'foreign')
local ends = tonumber(string.match(head, '"e":(%d+)')) or 0
local ttl = math.max(tonumber(ARGV[5]), ends - tonumber(ARGV[1]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], '{"__bouncer":{"k":"revoked","at":' .. ARGV[1] .. ',"l":"' .. ARGV[2] .. '","was":"' .. was
  .. '","reason":"' .. ARGV[3] .. '","case":"' .. ARGV[4] .. '","s":"' .. successors .. '"},"cookie":{}}', 'PX', ttl)
return { was == 'absent' and 'not_found' or 'revoked', ARGV[1], successors }
