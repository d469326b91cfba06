--[[
  Writes an incident anew, for a user who is forgotten. Invariant: only as long as its status is the one that was read, so
  no answer is lost; it is on the lists that it now belongs to and on no other; it lives no longer than before.

  KEYS[1]  the incident
  KEYS[2]  its visits
  KEYS[3]  its visit counts
  KEYS[4]  cases with visits
  KEYS[5..]  the lists that it leaves, then those that it joins
  ARGV[1]  case number
  ARGV[2]  the status that was read
  ARGV[3]  the incident as JSON
  ARGV[4]  how many of the lists it leaves
  ARGV[5]  its time in milliseconds (the lists' score)
  ARGV[6]  1: the visits go as well, and what a registry said
  ARGV[7]  the status that it is closed with, or '' to leave it as it is
  ARGV[8]  who closes it
  ARGV[9]  when, in milliseconds since the epoch

  Output: how many visits were removed, -1 when the status is another one, -2 when there is no such incident
]]
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return -2 end
if status ~= ARGV[2] then return -1 end
redis.call('HSET', KEYS[1], 'json', ARGV[3])
if redis.call('HEXISTS', KEYS[1], 'note') == 1 then redis.call('HSET', KEYS[1], 'note', '') end
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[1], 'status', ARGV[7], 'resolvedBy', ARGV[8], 'note', '', 'resolvedAtMs', ARGV[9])
end
-- Of a forgotten user nothing is left to be done.
redis.call('HDEL', KEYS[1], 'pending')
local ttl = redis.call('PTTL', KEYS[1])
local first_joined = 5 + tonumber(ARGV[4])
for i = 5, #KEYS do
  if i < first_joined then
    redis.call('ZREM', KEYS[i], ARGV[1])
  else
    redis.call('ZADD', KEYS[i], ARGV[5], ARGV[1])
    local list_ttl = redis.call('PTTL', KEYS[i])
    if ttl > 0 and list_ttl < ttl then redis.call('PEXPIRE', KEYS[i], ttl) end
  end
end
if ARGV[6] ~= '1' then return 0 end
redis.call('HDEL', KEYS[1], 'registry')
local visits = redis.call('LLEN', KEYS[2]) + redis.call('HDEL', KEYS[3], 'last')
redis.call('HDEL', KEYS[3], 'lastGotchaAtMs')
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[4], ARGV[1])
return visits
