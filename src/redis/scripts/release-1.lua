--[[
  Lets the brake go. Invariant: only the trip that was meant, so that two who let go do not undo a trip of in between; what
  was granted before does not count in the window that begins now.

  KEYS[1]  the brake's state
  ARGV[1]  the trip that is meant, as JSON, or '' for any
  ARGV[2]  now, in milliseconds

  Output: the trip that stood, as JSON, or '' when there was none, or another one
]]
local trip = redis.call('HGET', KEYS[1], 'trip')
if not trip or (ARGV[1] ~= '' and ARGV[1] ~= trip) then return '' end
redis.call('HDEL', KEYS[1], 'trip')
redis.call('HSET', KEYS[1], 'sinceMs', ARGV[2])
return trip
