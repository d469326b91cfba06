--[[
  A logout in one step: "destroy" of the session, its login's mark, and "destroy" of whatever other ids of that login stand.
  Only for a single server: the sessions' keys lie in several slots (on a Cluster: the mark, the other ids, this one).
  Invariant: whoever dies right after this leaves nothing of the login alive; a revoked session stays revoked, and marks
  nothing. Nothing is written where the session is another login's by now.

  KEYS[1]  the session's key
  KEYS[2]  the login's mark
  KEYS[3]  the login's index of handles
  KEYS[4]  the key of a session up to its handle
  ARGV[1]  now, milliseconds since the epoch
  ARGV[2]  a tombstone's time to live in milliseconds, at least (see "destroy")
  ARGV[3]  the login id (lid), or '': the session is thought to have none, and nothing but it is touched
  ARGV[4]  how long the mark stands, in milliseconds
  ARGV[5]  how many other ids may be ended here, so that a login with very many does not hold up the server

  Output: { what stood at the session's key or stands there now: 'logout', 'moved', 'revoked'; or 'other': nothing was written,
  the lid of the session that stands there, the mark that stands now or '', '1' where ids are left to end or '', the index }
]]
-- A full Redis refuses a script's first write that needs memory, and only the first: one that needs none goes before it.
local function put(key, value, ttl)
  redis.call('PERSIST', key)
  if ttl == -1 then return redis.call('SET', key, value) end
  redis.call('SET', key, value, 'PX', math.max(1, ttl))
end
local function kindOf(value) return string.match(value, '^{"__bouncer":{"k":"(%l+)"') end
local function lidOf(value) return string.match(string.sub(value, 1, 300), '"l":"([%w_-]*)"') or '' end

local function finish(key, value)
  local kind = kindOf(value)
  if kind == 'revoked' then
    local kept = string.find(value, ',"kept":', 1, true)
    -- Its holder logged out: whoever lifts the revocation must not log them in again.
    if kept then put(key, string.sub(value, 1, kept - 1) .. '},"cookie":{}}', redis.call('PTTL', key)) end
  end
  if kind == 'revoked' or kind == 'logout' then return kind end
  local successors = kind == 'moved' and string.match(value, '"s":"([%w_ -]*)"') or ''
  local ends = tonumber(string.match(string.sub(value, 1, 300), '"e":(%d+)')) or 0
  local ttl = math.max(tonumber(ARGV[2]), ends - tonumber(ARGV[1]), redis.call('PTTL', key))
  -- Nothing stood there: only a first save of this very id that is under way has to be kept out, and that is over soon.
  if value == '' then ttl = math.min(ttl, 300000) end
  put(key, '{"__bouncer":{"k":"logout","at":' .. ARGV[1] .. ',"l":"' .. ARGV[3] .. '","s":"' .. successors
    .. '"},"cookie":{}}', ttl)
  return kind == 'moved' and kind or 'logout'
end

-- As "mark" does for a logout: the first end stays, but is not lifted any more; one that was lifted gives way.
local function markEnded()
  local mark = redis.call('GET', KEYS[2])
  local lifted = mark and string.match(mark, '"liftedAtMs":(%d+)')
  if mark and not lifted then
    if string.find(mark, '"reason":"forced_logout"', 1, true) or string.find(mark, '"forced":true', 1, true) then return mark end
    mark = string.sub(mark, 1, -2) .. ',"forced":true}'
    put(KEYS[2], mark, redis.call('PTTL', KEYS[2]))
    return mark
  end
  local at = math.max(tonumber(ARGV[1]), lifted and tonumber(lifted) + 1 or 0)
  mark = '{"reason":"logout","caseId":"NONE","atMs":' .. string.format('%.0f', at)
    .. (lifted and ',"afterMs":' .. lifted or '') .. ',"forced":true}'
  put(KEYS[2], mark, tonumber(ARGV[4]))
  return mark
end

local value = redis.call('GET', KEYS[1]) or ''
local lid = lidOf(value)
if lid ~= '' and lid ~= ARGV[3] then return { 'other', lid, '', '', {} } end
if kindOf(value) == 'revoked' then return { finish(KEYS[1], value), lid, '', '', {} } end
if ARGV[3] == '' then return { finish(KEYS[1], value), '', '', '', {} } end
local mark = markEnded()
local kind = finish(KEYS[1], value)
local handles = redis.call('SMEMBERS', KEYS[3])
local left = tonumber(ARGV[5])
for _, handle in ipairs(handles) do
  local key = KEYS[4] .. handle
  if left == 0 then return { kind, ARGV[3], mark, '1', handles } end
  left = left - 1
  local other = key ~= KEYS[1] and redis.call('GET', key)
  if other and lidOf(other) == ARGV[3] then finish(key, other) end
end
return { kind, ARGV[3], mark, '', handles }
