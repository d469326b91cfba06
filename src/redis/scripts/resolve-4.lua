--[[
  Writes an analyst's answer. Invariant: only an open incident is answered, or one that no person has closed, so of two
  analysts at once the second is told.

  KEYS[1]  the incident
  KEYS[2]  list of open incidents
  KEYS[3]  list of the incidents with the new status
  KEYS[4]  list of the incidents with the status that the registry worker closes with
  ARGV[1]  case number
  ARGV[2]  the new status
  ARGV[3]  who
  ARGV[4]  note
  ARGV[5]  time in milliseconds
  ARGV[6]  how long incidents are kept, in milliseconds
  ARGV[7]  the name under which the registry worker closes

  Output: 'resolved', 'unknown', or the status that an earlier answer gave it
]]
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return 'unknown' end
local closed_by_machine = redis.call('HGET', KEYS[1], 'resolvedBy') == ARGV[7]
if status ~= 'open' and not closed_by_machine then return status end
local score = redis.call('ZSCORE', KEYS[2], ARGV[1]) or redis.call('ZSCORE', KEYS[4], ARGV[1]) or ARGV[5]
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'resolvedBy', ARGV[3], 'note', ARGV[4], 'resolvedAtMs', ARGV[5])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[3], score, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. (tonumber(ARGV[5]) - tonumber(ARGV[6])))
redis.call('PEXPIRE', KEYS[3], ARGV[6])
return 'resolved'
