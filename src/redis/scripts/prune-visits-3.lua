--[[
  Takes away the visits of a case that are older than they may be kept. Invariant: what is younger stays, in its order;
  the counts stay; while any visit is left, the case is on the sweep's list under the time of the oldest one.

  KEYS[1]  the visits
  KEYS[2]  the visit counts, which hold the newest refused visit, and the time of the newest view, as well
  KEYS[3]  cases with visits, scored by their oldest one
  ARGV[1]  case number
  ARGV[2]  visits before this time go, in milliseconds since the epoch

  Output: how many were removed
]]
-- In text from outside a quotation mark is escaped, so this is the visit's own time.
local function time_of(visit)
  return visit and tonumber(string.match(visit, '"atMs":(%d+)') or '0') or nil
end
local limit = tonumber(ARGV[2])
local removed = 0
local oldest = time_of(redis.call('LINDEX', KEYS[1], 0))
while oldest and oldest < limit do
  redis.call('LPOP', KEYS[1])
  removed = removed + 1
  oldest = time_of(redis.call('LINDEX', KEYS[1], 0))
end
local last = time_of(redis.call('HGET', KEYS[2], 'last'))
if last and last < limit then
  redis.call('HDEL', KEYS[2], 'last')
  removed = removed + 1
  last = nil
end
local seen = tonumber(redis.call('HGET', KEYS[2], 'lastGotchaAtMs') or '')
if seen and seen < limit then
  redis.call('HDEL', KEYS[2], 'lastGotchaAtMs')
  seen = nil
end
oldest = oldest or last
if seen and (not oldest or seen < oldest) then oldest = seen end
if oldest then
  redis.call('ZADD', KEYS[3], oldest, ARGV[1])
else
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return removed
