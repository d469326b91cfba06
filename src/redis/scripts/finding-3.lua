--[[
  Writes what a registry said on an incident, and may close it. Invariant: an answer on record stays; only an open
  incident is closed.

  KEYS[1]  the incident
  KEYS[2]  list of open incidents
  KEYS[3]  list of the incidents with the closing status
  ARGV[1]  case number
  ARGV[2]  the finding as JSON
  ARGV[3]  the closing status, or '' to leave it as it is
  ARGV[4]  under which name it is closed
  ARGV[5]  note
  ARGV[6]  time in milliseconds
  ARGV[7]  how long incidents are kept, in milliseconds

  Output: 'closed', 'written' or 'unknown'
]]
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return 'unknown' end
redis.call('HSET', KEYS[1], 'registry', ARGV[2])
if ARGV[3] == '' or status ~= 'open' then return 'written' end
local score = redis.call('ZSCORE', KEYS[2], ARGV[1]) or ARGV[6]
redis.call('HSET', KEYS[1], 'status', ARGV[3], 'resolvedBy', ARGV[4], 'note', ARGV[5], 'resolvedAtMs', ARGV[6])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], score, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. (tonumber(ARGV[6]) - tonumber(ARGV[7])))
redis.call('PEXPIRE', KEYS[3], ARGV[7])
return 'closed'
