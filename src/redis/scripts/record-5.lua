--[[
  Records an incident and lists it. Invariant: once per case number, however often the job is repeated; what an analyst
  answered is never overwritten.

  KEYS[1]  the incident
  KEYS[2]  list of all incidents
  KEYS[3]  list of open incidents
  KEYS[4]  list of this user's incidents
  KEYS[5]  list of this address's incidents
  ARGV[1]  case number
  ARGV[2]  the incident as JSON
  ARGV[3]  its time in milliseconds (the lists' score)
  ARGV[4]  how long incidents are kept, in milliseconds

  Output: 1 when recorded, 0 when it was there already
]]
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'json', ARGV[2], 'status', 'open')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local oldest = '(' .. (tonumber(ARGV[3]) - tonumber(ARGV[4]))
for i = 2, 5 do
  redis.call('ZADD', KEYS[i], ARGV[3], ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', oldest)
  redis.call('PEXPIRE', KEYS[i], ARGV[4])
end
return 1
