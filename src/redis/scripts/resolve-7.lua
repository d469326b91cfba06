--[[
  Writes an analyst's answer. Invariant: only an open incident is answered, or one that no person at the desk has closed,
  so of two analysts at once the second is told. A list lives at least as long as the incident: how long that is kept, only
  the workers know, and their sweep takes its row off. What follows from the answer is pending from the moment it stands, and in the audit.

  KEYS[1]  the incident
  KEYS[2]  list of open incidents
  KEYS[3]  list of confirmed ones
  KEYS[4]  list of those answered "safe"
  KEYS[5]  list of those dismissed
  KEYS[6]  the audit
  KEYS[7]  the ids of its entries about this case
  ARGV[1]  case number
  ARGV[2]  the new status
  ARGV[3]  who
  ARGV[4]  note
  ARGV[5]  time in milliseconds
  ARGV[6]  the name under which the registry worker closes
  ARGV[7]  the name under which users answer by their links, whom anybody else may overrule
  ARGV[8]  what is pending, as JSON, or '' for nothing
  ARGV[9]  the audit's entry as JSON, or '' for none
  ARGV[10]  about so many entries of the audit are kept
  ARGV[11]  at most so many ids of one case are kept, the newest ones
  ARGV[12]  how long they are kept, in milliseconds

  Output: 'resolved', 'unknown', or the status that an earlier answer gave it
]]
local status, by = unpack(redis.call('HMGET', KEYS[1], 'status', 'resolvedBy'))
if not status then return 'unknown' end
local overrules_user = status ~= 'open' and by == ARGV[7] and ARGV[3] ~= ARGV[7]
if status ~= 'open' and by ~= ARGV[6] and not overrules_user then return status end
local lists = { open = KEYS[2], confirmed = KEYS[3], safe = KEYS[4], dismissed = KEYS[5] }
local score = redis.call('ZSCORE', lists[status], ARGV[1]) or ARGV[5]
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'resolvedBy', ARGV[3], 'note', ARGV[4], 'resolvedAtMs', ARGV[5])
if overrules_user then redis.call('HSET', KEYS[1], 'overruled', status) end
if ARGV[8] == '' then
  redis.call('HDEL', KEYS[1], 'pending')
else
  redis.call('HSET', KEYS[1], 'pending', ARGV[8])
end
redis.call('ZREM', lists[status], ARGV[1])
redis.call('ZADD', lists[ARGV[2]], score, ARGV[1])
local ttl, list_ttl = redis.call('PTTL', KEYS[1]), redis.call('PTTL', lists[ARGV[2]])
if list_ttl < ttl then redis.call('PEXPIRE', lists[ARGV[2]], ttl) end
if ARGV[9] == '' then return 'resolved' end
local id = redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[10], '*', 'entry', ARGV[9])
redis.call('RPUSH', KEYS[7], id)
redis.call('LTRIM', KEYS[7], -tonumber(ARGV[11]), -1)
redis.call('PEXPIRE', KEYS[7], ARGV[12])
return 'resolved'
