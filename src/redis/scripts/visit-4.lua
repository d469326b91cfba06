--[[
  Notes a refused request or a view of the gotcha page. Invariant: the number of visits kept is bounded for each kind by
  itself (the first ones; the rest is only counted, and the newest refused one beyond them is kept, of the newest view its time), so whoever knows no
  more than a case number cannot take the place of a refused request; a case number that nobody issued creates nothing.

  KEYS[1]  the incident
  KEYS[2]  its visit counts
  KEYS[3]  its visits
  KEYS[4]  cases with visits, scored by their oldest one, for the sweep
  ARGV[1]  the visit as JSON
  ARGV[2]  its time in milliseconds
  ARGV[3]  its kind: 'refused' (its case number comes from a tombstone, the incident may be about to be recorded), or
           'gotcha' for a view of the gotcha page (anybody may have brought the case number)
  ARGV[4]  how many visits of this kind are kept
  ARGV[5]  how long they are kept, in milliseconds
  ARGV[6]  case number

  Output: 'kept', 'counted' or 'unknown'
]]
local refused = ARGV[3] == 'refused'
if not refused and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then return 'unknown' end
if refused then
  redis.call('HSETNX', KEYS[2], 'firstRefusedAtMs', ARGV[2])
elseif tonumber(redis.call('HGET', KEYS[2], 'lastGotchaAtMs') or '0') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[2], 'lastGotchaAtMs', ARGV[2])
end
redis.call('HINCRBY', KEYS[2], 'count', 1)
local count = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[4], 'NX', ARGV[2], ARGV[6])
if count > tonumber(ARGV[4]) then
  if refused then redis.call('HSET', KEYS[2], 'last', ARGV[1]) end
  return 'counted'
end
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
return 'kept'
