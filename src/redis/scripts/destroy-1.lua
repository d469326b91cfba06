--[[
  Logout: puts a tombstone of kind "logout" in the session's place. Invariant: a revoked session stays revoked, and a
  save that was under way cannot bring the session back. An id that was moved names its successors, which the caller
  logs out too: a logout on a stale tab is a logout.

  KEYS[1]  the session's key
  ARGV[1]  now, milliseconds since the epoch
  ARGV[2]  the tombstone's time to live in milliseconds, at least (a live session's absolute end may make it longer)

  Output: { 'logout', '' }; { 'revoked', '' } when such a tombstone stands there and stays; { 'moved', successors }:
  their handles, separated by spaces
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 299)
local kind = string.match(head, '^{"__bouncer":{"k":"(%l+)"')
if kind == 'revoked' or kind == 'logout' then return { kind, '' } end
if kind == 'moved' then
  return { 'moved', string.match(redis.call('GET', KEYS[1]), '"s":"([%w_ -]*)"') or '' }
end
local lid = string.match(head, '"l":"([%w_-]*)"') or ''
local ends = tonumber(string.match(head, '"e":(%d+)')) or 0
local ttl = math.max(tonumber(ARGV[2]), ends - tonumber(ARGV[1]))
local tombstone = '{"__bouncer":{"k":"logout","at":' .. ARGV[1] .. ',"l":"' .. lid .. '"},"cookie":{}}'
redis.call('SET', KEYS[1], tombstone, 'PX', ttl)
return { 'logout', '' }
