--[[
  Asks the safety brake whether these logins may be ended, and counts their users before the answer. Invariant: of all workers
  together, the logins of no more users are granted in a window than the policy allows; what was granted stays granted, so that
  a repeated job decides the same; a batch that would pass the limit is granted nothing new, and trips the brake. A user counts
  once in a window: whoever knows one password and logs in again after each bounce must not trip it alone.

  KEYS[1]  the brake's state
  KEYS[2]  the logins granted lately, scored by when
  KEYS[3]  the users whose logins were asked about lately, scored by when last
  KEYS[4]  counts per minute, of this hour
  KEYS[5]  counts per minute, of the hour before
  KEYS[6]  counts per hour, of this day
  KEYS[7]  counts per hour, of the day before
  ARGV[1]  now, in milliseconds
  ARGV[2]  the window, in milliseconds, an hour at most
  ARGV[3]  the share of the logins that may be ended
  ARGV[4]  the logins that are taken for granted
  ARGV[5]  so many times the share of the day is too much
  ARGV[6]  how long grants and users are kept, in milliseconds, at least the window
  ARGV[7]  the logins that were checked with these and are not counted yet
  ARGV[8]  how long counts per minute are kept, in milliseconds
  ARGV[9]  how long counts per hour are kept, in milliseconds
  ARGV[10..]  two for each login to end: the login, and its user's tag

  Output: the trip as JSON or '', 1 when it has just tripped, and for each login 1 (granted) or 0. The rule is judgeBrake
  (domain/brake.ts).
]]
local now, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local minute, hour = math.floor(now / 60000), math.floor(now / 3600000)
local function sum(here, before, count, from, size, name)
  local total = 0
  for i = 0, count - 1 do
    local at = from - i
    local where = math.floor(at / size) == math.floor(from / size) and here or before
    total = total + (tonumber(redis.call('HGET', where, (at % size) .. ':' .. name)) or 0)
  end
  return total
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[6]))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[6]))
local since = math.max(now - window, tonumber(redis.call('HGET', KEYS[1], 'sinceMs')) or 0)
local asked, isFresh, seen = {}, false, {}
local uncounted, newUsers = 0, 0
for i = 10, #ARGV, 2 do
  local user = ARGV[i + 1]
  asked[i] = redis.call('ZSCORE', KEYS[2], ARGV[i]) and 1 or 0
  if asked[i] == 0 then isFresh = true end
  if asked[i] == 0 and not seen[user] then
    seen[user] = true
    local last = tonumber(redis.call('ZSCORE', KEYS[3], user)) or -1
    if last <= since then uncounted = uncounted + 1 end
    if last <= now - window then newUsers = newUsers + 1 end
  end
end

local trip, isNew = redis.call('HGET', KEYS[1], 'trip') or '', 0
if trip == '' and isFresh then
  local revokes = redis.call('ZCOUNT', KEYS[3], '(' .. since, '+inf') + uncounted
  local logins = sum(KEYS[4], KEYS[5], math.ceil(window / 60000), minute, 60, 'checked') + tonumber(ARGV[7])
  local least, why = tonumber(ARGV[4]), nil
  local day = { logins = logins, revokes = revokes }
  -- Of users who count already no more are ended than before: they trip nothing.
  if uncounted > 0 and revokes > tonumber(ARGV[3]) * math.max(logins, least) then
    why = 'share'
  end
  if why or (uncounted > 0 and logins >= least and revokes >= 10) then
    day.logins = math.max(logins, sum(KEYS[6], KEYS[7], 24, hour, 24, 'checked') + tonumber(ARGV[7]))
    day.revokes = math.max(revokes, sum(KEYS[6], KEYS[7], 24, hour, 24, 'suspect_users') + newUsers)
    local surges = revokes * day.logins > tonumber(ARGV[5]) * day.revokes * logins
    if not why and day.logins >= 10 * least and surges then why = 'surge' end
  end
  if why then
    local counts = { logins = logins, revokes = revokes }
    trip, isNew = cjson.encode({ atMs = now, why = why, window = counts, day = day }), 1
    redis.call('HSET', KEYS[1], 'trip', trip, 'lastTrip', trip)
  end
end

for i = 10, #ARGV, 2 do
  if trip == '' or asked[i] == 1 then
    redis.call('ZADD', KEYS[2], now, ARGV[i])
    asked[i] = 1
  end
  redis.call('ZADD', KEYS[3], now, ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('PEXPIRE', KEYS[3], ARGV[6])
if newUsers > 0 then
  redis.call('HINCRBY', KEYS[4], (minute % 60) .. ':suspect_users', newUsers)
  redis.call('HINCRBY', KEYS[6], (hour % 24) .. ':suspect_users', newUsers)
  redis.call('PEXPIRE', KEYS[4], ARGV[8])
  redis.call('PEXPIRE', KEYS[6], ARGV[9])
end
local answer = { trip, isNew }
for i = 10, #ARGV, 2 do answer[#answer + 1] = asked[i] end
return answer
