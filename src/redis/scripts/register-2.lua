--[[
  Notes who logged in, how and from where. Invariant: the newest id that an enrolment wrote stays; a repeated report
  changes nothing.

  KEYS[1]  the user's logins
  KEYS[2]  what is known of them
  ARGV[1]  the login id (lid)
  ARGV[2]  the login's first handle
  ARGV[3]  now, milliseconds since the epoch
  ARGV[4]  the session's absolute end, milliseconds since the epoch
  ARGV[5]  when the login began, milliseconds since the epoch
  ARGV[6]  what the entry holds, as JSON

  Output: 1 when it is new, 0 when it was there
]]
local ttl = math.max(1, tonumber(ARGV[4]) - tonumber(ARGV[3]))
local added = redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[6])
redis.call('HSETNX', KEYS[2], ARGV[1] .. '/h', ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[5])
redis.call('ZADD', KEYS[1], 'NX', ARGV[4], ARGV[1])
for _, key in ipairs({ KEYS[1], KEYS[2] }) do
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end
return added
