--[[
  Takes an answer off an incident, which is open again. Invariant: only the answer that is named is taken off, and the
  incident keeps its place in the lists.

  KEYS[1]  the incident
  KEYS[2]  list of open incidents
  KEYS[3]  list of the incidents with the status that is taken off
  ARGV[1]  case number
  ARGV[2]  that status
  ARGV[3]  now, milliseconds since the epoch

  Output: 1 when it was reopened, 0 when it has another status
]]
if redis.call('HGET', KEYS[1], 'status') ~= ARGV[2] then return 0 end
local score = redis.call('ZSCORE', KEYS[3], ARGV[1]) or ARGV[3]
redis.call('HSET', KEYS[1], 'status', 'open')
redis.call('HDEL', KEYS[1], 'resolvedBy', 'note', 'resolvedAtMs', 'overruled', 'pending')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[2], score, ARGV[1])
local ttl = redis.call('PTTL', KEYS[1])
if redis.call('PTTL', KEYS[2]) < ttl then redis.call('PEXPIRE', KEYS[2], ttl) end
return 1
