--[[
  Records an incident and lists it. Invariant: once per case number, however often the job is repeated; what an analyst
  answered is never overwritten.

  KEYS[1]  the incident
  KEYS[2]  list of all incidents
  KEYS[3..]  the other lists that it is on: status, user, address, network, reason, action, countries
  ARGV[1]  case number
  ARGV[2]  the incident as JSON
  ARGV[3]  its time in milliseconds (the lists' score)
  ARGV[4]  how long incidents are kept, in milliseconds
  ARGV[5]  at most so many expired rows are taken off each list now; the list of all is the sweep's

  Output: 1 when recorded, 0 when it was there already
]]
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'json', ARGV[2], 'status', 'open')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local oldest = '(' .. (tonumber(ARGV[3]) - tonumber(ARGV[4]))
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[3], ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[4])
  local expired = i == 2 and {} or redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', oldest, 'LIMIT', 0, ARGV[5])
  if #expired > 0 then redis.call('ZREM', KEYS[i], unpack(expired)) end
end
return 1
