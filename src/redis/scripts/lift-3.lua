--[[
  Lifts the mark of an ended login: from here on an id of it may be created again. Invariant: what a person ended (this
  login, or all of the user's by an epoch) is not lifted, nor any other end than the one that is meant; a lifted mark stays, so that no repeat of the old end counts.

  KEYS[1]  the login's mark
  KEYS[2]  the user's epoch
  KEYS[3]  what is known of the user's logins
  ARGV[1]  the login id (lid)
  ARGV[2]  now, milliseconds since the epoch
  ARGV[3]  when the login began, where nothing on record says; '0': nobody knows
  ARGV[4]  where the mark was lost, but not the end: how long a lifted one is to stand, in milliseconds; '0': none is written
  ARGV[5]  the case whose end is meant; '': any
  ARGV[6]  '1': also one by a reuse, which two parties get back; '0': not (of any case, it is not looked at)
  ARGV[7]  when that end was, milliseconds since the epoch; '': whenever

  Output: { 'lifted', when }, { 'blocked', '0' } or { 'none', '0' } (there is no mark)
]]
-- A full Redis refuses a script's first write that needs memory, and only the first: one that needs none goes before it.
local function put(value, ttl)
  redis.call('PERSIST', KEYS[1])
  if ttl == -1 then return redis.call('SET', KEYS[1], value) end
  redis.call('SET', KEYS[1], value, 'PX', math.max(1, ttl))
end
local mark = redis.call('GET', KEYS[1])
local lifted = mark and string.match(mark, '"liftedAtMs":(%d+)')
if mark and not lifted then
  if string.find(mark, '"reason":"forced_logout"', 1, true) or string.find(mark, '"forced":true', 1, true) then
    return { 'blocked', '0' }
  end
  local reason, case, at = string.match(mark, '"reason":"([%w_]+)","caseId":"([%w-]+)","atMs":(%d+)')
  local is_meant = case == ARGV[5] and (reason ~= 'session_reused' or ARGV[6] == '1') and (ARGV[7] == '' or ARGV[7] == at)
  if ARGV[5] ~= '' and not is_meant then return { 'blocked', '0' } end
end
local known = redis.call('HGET', KEYS[3], ARGV[1] .. '/h')
local started = known and string.match(known, ' (%d+)$') or ARGV[3]
if tonumber(started) <= tonumber(redis.call('GET', KEYS[2]) or '-1') then return { 'blocked', '0' } end
if lifted then return { 'lifted', lifted } end
if not mark then
  if ARGV[4] == '0' then return { 'none', '0' } end
  put('{"reason":"lost","caseId":"NONE","atMs":' .. ARGV[2] .. ',"liftedAtMs":' .. ARGV[2] .. '}', ARGV[4])
  return { 'lifted', ARGV[2] }
end
local reason, case, at = string.match(mark, '"reason":"([%w_]+)","caseId":"([%w-]+)","atMs":(%d+)')
lifted = string.format('%.0f', math.max(tonumber(ARGV[2]), tonumber(at)))
put('{"reason":"' .. reason .. '","caseId":"' .. case .. '","atMs":' .. at .. ',"liftedAtMs":' .. lifted .. '}',
  redis.call('PTTL', KEYS[1]))
return { 'lifted', lifted }
