--[[
  The first save of an id of a login, in one step: "enroll", "save", and "move" where the session goes on from another id.
  Only for a single server: these keys lie in several slots (on a Cluster the three are sent one after the other).
  Invariant: an id of a login is live only if it is in the login's index and the login had not ended; nothing that ended is
  moved; whoever ends the old id finds the new one. Nothing is written of the session when it is refused.

  KEYS[1]  the login's index of handles
  KEYS[2]  the mark that the login has ended
  KEYS[3]  the user's epoch
  KEYS[4]  the user's logins
  KEYS[5]  what is known of them
  KEYS[6]  the new id's key
  KEYS[7..]  the old id's key, where the session goes on from one
  ARGV[1]  the login id (lid)
  ARGV[2]  the new id's handle
  ARGV[3]  now, milliseconds since the epoch
  ARGV[4]  the session's absolute end, milliseconds since the epoch
  ARGV[5]  when the login began, milliseconds since the epoch; '0' when it did not begin in this request
  ARGV[6]  the birth token of this session object: its own first save may be repeated
  ARGV[7]  the whole value
  ARGV[8]  time to live in milliseconds
  ARGV[9]  the new id, sealed for holders of the old one, or '-' (see "move")
  ARGV[10]  the old id's tombstone's time to live in milliseconds, at least
  ARGV[11]  '1': the store's own rotation: the old id moves only once, and its tombstone lives no longer (see "move")
  ARGV[12]  SHA-1 of the old id's data as it was loaded, or '-' (see "move")

  Output: { 'live' } when written; { 'ended', mark or '', epoch }: the login has ended; { 'revoked', lid, reason, case, time }:
  the old id was; else why not: { 'gone' }, { 'logout' }, { 'foreign' }, { 'taken' }, { 'moved' }, of the old id or the new one
]]
local function kindOf(value) return string.match(value, '^{"__bouncer":{"k":"(%l+)"') end
local old = KEYS[7] and (redis.call('GET', KEYS[7]) or '')
local used, successors, sealed = '0000000000000', ARGV[2], ARGV[9]
if old then
  local kind = kindOf(old)
  if kind == 'revoked' then
    local head = string.sub(old, 1, 300)
    return { kind, string.match(head, '"l":"([%w_-]*)"'), string.match(head, '"reason":"([%w_]+)"'),
      string.match(head, '"case":"([%w-]+)"'), string.match(head, '"at":(%d+)') }
  end
  if kind == 'moved' then
    local before = string.match(old, '"s":"([%w_ -]*)"')
    -- A first save that is repeated (its answer was lost) has moved already.
    if string.sub(before, -#ARGV[2]) == ARGV[2] then
      old = nil
    else
      if ARGV[11] == '1' then return { 'taken' } end
      used = string.match(old, '"u":"(%d+)"')
      successors = before .. ' ' .. successors
      sealed = string.match(old, '"f":"([%w_. -]*)"') .. ' ' .. sealed
    end
  elseif kind ~= 'live' then
    return { old == '' and 'gone' or kind or 'foreign' }
  elseif ARGV[12] ~= '-' and redis.sha1hex(string.match(old, '}(.*)$')) ~= ARGV[12] then
    return { 'taken' }
  end
end
local new = redis.call('GETRANGE', KEYS[6], 0, 299)
if new ~= '' then
  local kind = kindOf(new)
  if kind ~= 'live' then return { kind or 'foreign' } end
  if string.match(new, '"b":"([%w_-]+)"') ~= ARGV[6] then return { 'taken' } end
end

local life = math.max(1, tonumber(ARGV[4]) - tonumber(ARGV[3]))
local newest = ARGV[1] .. '/h'
-- The user's list is a hint: where it cannot be written, the login goes on.
local before = redis.pcall('HGET', KEYS[5], newest)
local started = type(before) == 'string' and string.match(before, ' (%d+)$') or ARGV[5]
redis.call('SADD', KEYS[1], ARGV[2])
redis.pcall('HSET', KEYS[5], newest, ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. started)
redis.pcall('ZADD', KEYS[4], ARGV[4], ARGV[1])
for _, key in ipairs({ KEYS[1], KEYS[4], KEYS[5] }) do
  if redis.call('PTTL', key) < life then redis.call('PEXPIRE', key, life) end
end
local mark = redis.call('GET', KEYS[2]) or ''
-- A person took that end back (see "lift"): the login lives.
if string.find(mark, '"liftedAtMs"', 1, true) then mark = '' end
local epoch = redis.call('GET', KEYS[3]) or '0'
-- Without an epoch nothing is said of a login whose beginning nobody knows.
local isBarred = tonumber(epoch) > 0 and tonumber(started) <= tonumber(epoch)
if mark ~= '' or isBarred then return { 'ended', mark, epoch } end

redis.call('SET', KEYS[6], ARGV[7], 'PX', ARGV[8])
if old then
  local head = string.sub(old, 1, 300)
  local lid = string.match(head, '"l":"([%w_-]*)"') or ''
  local ends = ARGV[11] == '0' and tonumber(string.match(head, '"e":(%d+)')) or 0
  local ttl = math.max(tonumber(ARGV[10]), ends - tonumber(ARGV[3]), redis.call('PTTL', KEYS[7]))
  redis.call('SET', KEYS[7], '{"__bouncer":{"k":"moved","u":"' .. used .. '","at":' .. ARGV[3] .. ',"l":"' .. lid
    .. '","s":"' .. successors .. '","f":"' .. sealed .. '"},"cookie":{}}', 'PX', ttl)
end
return { 'live' }
