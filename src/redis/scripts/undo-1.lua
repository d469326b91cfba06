--[[
  Takes a revocation's tombstone away and puts back what stood there. Invariant: only what ended before the lift is put
  back, never past its absolute end; whatever else stands there stays.

  KEYS[1]  the session's key
  ARGV[1]  the login id (lid) whose end was lifted
  ARGV[2]  when that was, milliseconds since the epoch
  ARGV[3]  now, milliseconds since the epoch
  ARGV[4]  a session that is put back lives so long at least, in milliseconds: a person took their time to answer

  Output: { outcome, successors }; outcome is 'given_back', 'live' (it lives already), 'expired', 'gone' (what stood there
  was not kept), 'ended_again' (after the lift) or 'other'; successors are the handles that a moved id went to
]]
-- A full Redis refuses a script's first write that needs memory, and only the first: one that needs none goes before it.
local function put(value, ttl)
  redis.call('PERSIST', KEYS[1])
  if ttl == -1 then return redis.call('SET', KEYS[1], value) end
  redis.call('SET', KEYS[1], value, 'PX', math.max(1, ttl))
end
local value = redis.call('GET', KEYS[1]) or ''
local head = string.sub(value, 1, 300)
local kind = string.match(head, '^{"__bouncer":{"k":"(%l+)"')
if not kind or string.match(head, '"l":"([%w_-]*)"') ~= ARGV[1] then return { 'other', '' } end
if kind == 'live' then return { 'live', '' } end
local successors = string.match(value, '"s":"([%w_ -]*)"') or ''
if kind ~= 'revoked' then return { 'other', successors } end
if tonumber(string.match(head, '"at":(%d+)')) > tonumber(ARGV[2]) then return { 'ended_again', successors } end
local was = string.match(head, '"was":"(%l+)"')
local _, before = string.find(value, '","kept":', 1, true)
local ttl = redis.call('PTTL', KEYS[1])
if was == 'absent' then
  redis.call('DEL', KEYS[1])
  return { 'gone', successors }
end
if not before then
  -- It cannot be had back, but its holder is no thief: plain logged out, so no late save brings anything back either.
  put('{"__bouncer":{"k":"logout","at":' .. ARGV[3] .. ',"l":"' .. ARGV[1] .. '","s":"'
    .. successors .. '"},"cookie":{}}', ttl)
  return { 'gone', successors }
end
local kept = cjson.decode(string.sub(value, before + 1, -#'},"cookie":{}}' - 1))
if was == 'moved' then
  put(kept, ttl)
  return { 'other', successors }
end
local left = tonumber(string.match(head, '"e":(%d+)')) - tonumber(ARGV[3])
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return { 'expired', successors }
end
local had = tonumber(string.match(head, '"t":(%-?%d+)'))
put(kept, math.min(left, math.max(had, tonumber(ARGV[4]))))
return { 'given_back', successors }
