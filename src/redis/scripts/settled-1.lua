--[[
  Notes that all that follows from an answer is done. Invariant: only of the answer that is meant: another one may stand by now,
  with effects of its own under way.

  KEYS[1]  the incident
  ARGV[1]  when the answer was written, milliseconds since the epoch

  Output: 1 when it was pending, else 0
]]
if redis.call('HGET', KEYS[1], 'resolvedAtMs') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'pending')
