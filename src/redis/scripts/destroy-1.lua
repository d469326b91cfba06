--[[
  Logout: puts a tombstone of kind "logout" in the session's place. Invariant: a revoked session stays revoked, and is not
  given back any more; a save or a move that was under way cannot bring the session back. An id that was moved names
  its successors, which the caller logs out too: a logout on a stale tab is a logout. The tombstone keeps their names:
  a repeated logout, or a revoke, finds them.

  KEYS[1]  the session's key
  ARGV[1]  now, milliseconds since the epoch
  ARGV[2]  the tombstone's time to live in milliseconds, at least (a live session's absolute end may make it
           longer; where nothing stood, five minutes at most)

  Output: { what stood there or now stands there: 'logout', 'moved' (a "logout" stands there now) or 'revoked' (which
  stays), the successors' handles separated by spaces, the login id or '' }
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
if kind == 'moved' or kind == 'logout' then successors = string.match(value, '"s":"([%w_ -]*)"') or '' end
local kept = kind == 'revoked' and string.find(value, ',"kept":', 1, true)
-- Its holder logged out: whoever lifts the revocation must not log them in again.
if kept then put(string.sub(value, 1, kept - 1) .. '},"cookie":{}}', redis.call('PTTL', KEYS[1])) end
if kind == 'revoked' or kind == 'logout' then return { kind, successors, lid } end
local ends = tonumber(string.match(head, '"e":(%d+)')) or 0
local ttl = math.max(tonumber(ARGV[2]), ends - tonumber(ARGV[1]), redis.call('PTTL', KEYS[1]))
-- Nothing stood there: only a first save of this very id that is under way has to be kept out, and that is over soon. A
-- logout without a session must not fill Redis.
if head == '' then ttl = math.min(ttl, 300000) end
local tombstone = '{"__bouncer":{"k":"logout","at":' .. ARGV[1] .. ',"l":"' .. lid .. '","s":"' .. successors
  .. '"},"cookie":{}}'
put(tombstone, ttl)
return { kind == 'moved' and kind or 'logout', successors, lid }
