--[[
  Writes an entry of the audit about one case. Invariant: whoever looks at the case finds it, however much is written after.

  KEYS[1]  the audit
  KEYS[2]  the ids of the entries about this case
  ARGV[1]  the entry as JSON
  ARGV[2]  about so many entries of the audit are kept
  ARGV[3]  at most so many ids of one case are kept, the newest ones
  ARGV[4]  how long they are kept, in milliseconds

  Output: the entry's id
]]
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[1])
redis.call('RPUSH', KEYS[2], id)
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return id
