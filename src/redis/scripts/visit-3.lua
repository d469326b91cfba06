--[[
  Notes a refused request or a view of the gotcha page. Invariant: the number of visits kept is bounded (the first ones
  and the last one; the rest is only counted), and a case number that nobody issued creates nothing.

  KEYS[1]  the incident
  KEYS[2]  its visit counts
  KEYS[3]  its visits
  ARGV[1]  the visit as JSON
  ARGV[2]  its time in milliseconds
  ARGV[3]  '1' for a refused request (its case number comes from a tombstone, the incident may be about to be
           recorded), '0' for a view of the gotcha page
  ARGV[4]  how many visits are kept
  ARGV[5]  how long they are kept, in milliseconds

  Output: 'kept', 'counted' or 'unknown'
]]
if ARGV[3] == '0' and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then return 'unknown' end
if ARGV[3] == '1' then redis.call('HSETNX', KEYS[2], 'firstRefusedAtMs', ARGV[2]) end
redis.call('HSET', KEYS[2], 'last', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
if redis.call('HINCRBY', KEYS[2], 'count', 1) > tonumber(ARGV[4]) then return 'counted' end
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
return 'kept'
