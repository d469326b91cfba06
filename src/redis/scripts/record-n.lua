--[[
  Records an incident and lists it. Invariant: once per case number, however often the job is repeated; what an analyst
  answered is never overwritten, but for an end that came after it, by the same case: that one is noted, once, and
  whoever answered "safe" or "dismissed" is asked again.

  KEYS[1]  the incident
  KEYS[2]  list of the incidents answered "safe"
  KEYS[3]  list of those answered "dismissed"
  KEYS[4]  list of all incidents
  KEYS[5]  list of open ones
  KEYS[6..]  the other lists that it is on: user, address, network, reason, action, countries
  ARGV[1]  case number
  ARGV[2]  the incident as JSON
  ARGV[3]  its time in milliseconds (the lists' score)
  ARGV[4]  how long incidents are kept, in milliseconds
  ARGV[5]  at most so many expired rows are taken off each list now; the list of all is the sweep's

  ARGV[6]  when its login was ended by this case, milliseconds since the epoch; '0': it was not
  ARGV[7]  that end as a JSON object, to be noted where the incident is on record

  Output: 1 when recorded, 2 when it was there already and the end is a new one, 0 when it was there already
]]
if redis.call('EXISTS', KEYS[1]) == 1 then
  local doc = redis.call('HMGET', KEYS[1], 'json', 'status', 'endedAgain')
  local status = doc[2] or 'open'
  local last = doc[3] and cjson.decode(doc[3]).atMs or doc[1] and cjson.decode(doc[1]).revokedAtMs or 0
  -- What a person has confirmed was ended by them: whoever finds that end is told nothing new.
  if tonumber(ARGV[6]) <= last or status == 'confirmed' then return 0 end
  redis.call('HSET', KEYS[1], 'endedAgain', string.sub(ARGV[7], 1, -2) .. ',"was":"' .. status .. '"}')
  if status == 'open' then return 2 end
  redis.call('HSET', KEYS[1], 'status', 'open')
  redis.call('HDEL', KEYS[1], 'resolvedBy', 'note', 'resolvedAtMs', 'overruled', 'pending')
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', KEYS[5], redis.call('ZSCORE', KEYS[4], ARGV[1]) or ARGV[3], ARGV[1])
  if redis.call('PTTL', KEYS[5]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[5], ARGV[4]) end
  return 2
end
redis.call('HSET', KEYS[1], 'json', ARGV[2], 'status', 'open')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local oldest = '(' .. (tonumber(ARGV[3]) - tonumber(ARGV[4]))
for i = 4, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[3], ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[4])
  local expired = i == 4 and {} or redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', oldest, 'LIMIT', 0, ARGV[5])
  if #expired > 0 then redis.call('ZREM', KEYS[i], unpack(expired)) end
end
return 1
