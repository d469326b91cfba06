--[[
  Writes what the user said on an incident. Invariant: the first word stays, and no incident comes to be that is not there.

  KEYS[1]  the incident
  ARGV[1]  the user's word as JSON

  Output: 1 when written, 0 when there was one before, -1 when there is no such incident
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
return redis.call('HSETNX', KEYS[1], 'userWord', ARGV[1])
