--[[
  Which of a user's logins live, in one step: the index, what is known of each login, and the head of each newest session.
  Only for a single server: the sessions' keys lie in other slots, and are made here of what the index names (on a Cluster
  these are two round trips). Invariant: reads only; at most so many sessions as it is told, so that a user with very many
  does not hold up the server. What it has not looked at it leaves open.

  KEYS[1]  the user's logins
  KEYS[2]  what is known of them
  KEYS[3]  the key of a session up to its handle
  KEYS[4]  the key of a login's index of handles, up to the login id, for login ids with the user's tag
  ARGV[1]  now, milliseconds since the epoch: what ended before is not looked at
  ARGV[2]  the user's tag
  ARGV[3]  the length of a login id with a tag
  ARGV[4]  how many sessions may be looked at

  Output: { lid, absolute end, newest id, what was reported, countries, head, another } for each login, '' where there is
  nothing; head: the first bytes of its newest session, '' where nothing stands there, or '-' where it was not looked at;
  another: '1' where another id of a login whose newest one does not live is live, '0' where none is, '' where nobody looked
]]
local fields, left = {}, tonumber(ARGV[4])
local flat = redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end

local function headOf(handle)
  left = left - 1
  local key = KEYS[3] .. handle
  return redis.call('GETRANGE', key, 0, 90)
end
local function isLive(head) return string.find(head, '^{"__bouncer":{"k":"live"') ~= nil end

local function another(lid)
  -- A login id of the app's own lies elsewhere.
  if string.sub(lid, 1, #ARGV[2]) ~= ARGV[2] or #lid ~= tonumber(ARGV[3]) then return '' end
  local index = KEYS[4] .. lid
  local count = redis.call('SCARD', index)
  if count < 2 then return '0' end
  if count > left then return '' end
  for _, handle in ipairs(redis.call('SMEMBERS', index)) do
    if isLive(headOf(handle)) then return '1' end
  end
  return '0'
end

local rows = {}
local logins = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #logins, 2 do
  local lid, ends = logins[i], logins[i + 1]
  local newest = fields[lid .. '/h'] or ''
  local handle, head, other = string.match(newest, '^%S+'), '-', ''
  if handle and left > 0 and tonumber(ends) > tonumber(ARGV[1]) then
    head = headOf(handle)
    if not isLive(head) then other = another(lid) end
  end
  rows[#rows + 1] = { lid, ends, newest, fields[lid] or '', fields[lid .. '/c'] or '', head, other }
end
return rows
