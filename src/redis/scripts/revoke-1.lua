--[[
  Ends a session for good: puts a tombstone of kind "revoked" in its place. Invariant: the first reason and time stay
  (of an end that was lifted: those of the next one); a session that a later login holds under the same id is not
  touched by an earlier login's late job. What stood there is kept inside, as a string that nobody reads but undo-1; not where
  a person ended it, which nothing takes back.

  KEYS[1]  the session's key
  ARGV[1]  now, milliseconds since the epoch
  ARGV[2]  the login id (lid) whose session is meant
  ARGV[3]  reason code
  ARGV[4]  case number
  ARGV[5]  the tombstone's time to live in milliseconds, at least
  ARGV[6]  when an earlier end of this login was lifted: a tombstone of that one is written anew; '0': never

  Output: { outcome, time of the tombstone in milliseconds, successors }; outcome is 'revoked' (also when repeated by
  the same login), 'not_found' (nothing stood there; the tombstone was written all the same), 'already_revoked' (by
  another login) or 'other_login' (untouched); successors are the handles that a moved id went to, separated by spaces;
  with 'other_login' a fourth: that login's id
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
local lid = string.match(head, '"l":"([%w_-]*)"') or ''
local successors = ''
if kind and kind ~= 'live' then successors = string.match(value, '"s":"([%w_ -]*)"') or '' end
if kind == 'revoked' then
  local at = string.match(head, '"at":(%d+)')
  if lid ~= ARGV[2] then return { 'already_revoked', at, '' } end
  local outcome = string.find(head, '"was":"absent"', 1, true) and 'not_found' or 'revoked'
  if tonumber(at) > tonumber(ARGV[6]) then return { outcome, at, successors } end
  -- Ended again before it was given back: the new end's name and time, what was kept stays.
  local was, stop = string.match(head, '"was":"(%l+)","reason":"[%w_]+","case":"[%w-]+"()')
  put('{"__bouncer":{"k":"revoked","at":' .. ARGV[1] .. ',"l":"' .. lid .. '","was":"' .. was
    .. '","reason":"' .. ARGV[3] .. '","case":"' .. ARGV[4] .. '"' .. string.sub(value, stop), redis.call('PTTL', KEYS[1]))
  return { outcome, ARGV[1], successors }
end
if lid ~= '' and lid ~= ARGV[2] then return { 'other_login', '0', '', lid } end
local was = kind or (head == '' and 'absent' or 'foreign')
local ends = tonumber(string.match(head, '"e":(%d+)')) or 0
local had = redis.call('PTTL', KEYS[1])
local ttl = math.max(tonumber(ARGV[5]), ends - tonumber(ARGV[1]), had)
-- A session larger than this is not given back.
local kept = (kind == 'live' or kind == 'moved') and ARGV[3] ~= 'forced_logout' and ARGV[3] ~= 'logout' and #value <= 262144 and ',"kept":' .. cjson.encode(value) or ''
put('{"__bouncer":{"k":"revoked","at":' .. ARGV[1] .. ',"l":"' .. ARGV[2] .. '","was":"' .. was
  .. '","reason":"' .. ARGV[3] .. '","case":"' .. ARGV[4] .. '","t":' .. had .. ',"e":' .. string.format('%.0f', ends)
  .. ',"s":"' .. successors .. '"' .. kept .. '},"cookie":{}}', ttl)
return { was == 'absent' and 'not_found' or 'revoked', ARGV[1], successors }
