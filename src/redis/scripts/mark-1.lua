--[[
  Marks a login as ended. Invariant: the first reason and time of an end stay, unless it was a logout; an end that a person has lifted comes back
  by no repeat of it, only by a new one, and what a new one wrote is later than the lift whatever the clocks say.

  KEYS[1]  the login's mark
  ARGV[1]  reason code
  ARGV[2]  case number
  ARGV[3]  when the end was decided, milliseconds since the epoch
  ARGV[4]  how long the mark stands, in milliseconds
  ARGV[5]  '1': an end that was applied before, once more (a re-check); '0': anything else
  ARGV[6]  when that happened which it is ended for, milliseconds since the epoch

  Output: the mark that stands now; with `liftedAtMs` the login is not to be ended
]]
-- A full Redis refuses a script's first write that needs memory, and only the first: one that needs none goes before it.
local function put(value, ttl)
  redis.call('PERSIST', KEYS[1])
  if ttl == -1 then return redis.call('SET', KEYS[1], value) end
  redis.call('SET', KEYS[1], value, 'PX', math.max(1, ttl))
end
local mark = redis.call('GET', KEYS[1])
local lifted = mark and string.match(mark, '"liftedAtMs":(%d+)')
local reason = mark and string.match(mark, '"reason":"([%w_]+)"')
-- Ended by its user, or by a person for them: not lifted with any other end.
local byPerson = ARGV[1] == 'forced_logout' or ARGV[1] == 'logout'
if mark and not lifted and (reason ~= 'logout' or ARGV[1] == 'logout') then
  local forced = reason == 'forced_logout' or string.find(mark, '"forced":true', 1, true)
  if byPerson and not forced then
    mark = string.sub(mark, 1, -2) .. ',"forced":true}'
    put(mark, redis.call('PTTL', KEYS[1]))
  end
  return mark
end
local at, after, forced = tonumber(ARGV[3]), '', ''
if lifted then
  -- A decision from before the lift may be repeated by a worker that had died over it, and made anew of what it was about.
  local repeated = ARGV[5] == '1' or reason == ARGV[1]
  if repeated and math.min(at, tonumber(ARGV[6])) <= tonumber(lifted) then return mark end
  at = math.max(at, tonumber(lifted) + 1)
  after = ',"afterMs":' .. lifted
elseif mark then
  -- Logged out, and found out afterwards: the case gets its name.
  local before = string.match(mark, '"afterMs":(%d+)')
  if before and math.min(at, tonumber(ARGV[6])) <= tonumber(before) then return mark end
  after = before and ',"afterMs":' .. before or ''
end
if reason == 'logout' or ARGV[1] == 'logout' then forced = ',"forced":true' end
mark = '{"reason":"' .. ARGV[1] .. '","caseId":"' .. ARGV[2] .. '","atMs":' .. string.format('%.0f', at) .. after
  .. forced .. '}'
put(mark, ARGV[4])
return mark
