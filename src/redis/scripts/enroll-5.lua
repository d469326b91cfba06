--[[
  Adds a session id to its login, before the id is first saved, and tells whether the login has ended. Invariant: this
  and the end of a login (its mark, or its user's epoch) are in one order: whoever ends it either finds this id in the
  index, or this call tells of the end. Each call rewrites the login's newest id, so a sweep that looked at the one before
  removes nothing. The user's list is a hint: where it cannot be written, the login goes on.

  KEYS[1]  the login's index of handles
  KEYS[2]  the mark that the login has ended
  KEYS[3]  the user's epoch
  KEYS[4]  the user's logins
  KEYS[5]  what is known of them
  ARGV[1]  the login id (lid)
  ARGV[2]  the new id's handle
  ARGV[3]  now, milliseconds since the epoch
  ARGV[4]  the session's absolute end, milliseconds since the epoch
  ARGV[5]  when the login began, milliseconds since the epoch; '0' when it did not begin in this request
  ARGV[6]  '1': also in a Redis that is full: the id goes back to a session that was ended; '0': not

  Output: { mark or '', epoch or '0' }; the epoch only when the login began before it, or nobody knows when it began
]]
local ttl = math.max(1, tonumber(ARGV[4]) - tonumber(ARGV[3]))
local newest = ARGV[1] .. '/h'
local before = redis.pcall('HGET', KEYS[5], newest)
local started = type(before) == 'string' and string.match(before, ' (%d+)$') or ARGV[5]
-- A full Redis refuses a script's first write that needs memory, and only the first: one that needs none goes before it.
if ARGV[6] == '1' then redis.call('PEXPIRE', KEYS[1], math.max(ttl, redis.call('PTTL', KEYS[1]))) end
redis.call('SADD', KEYS[1], ARGV[2])
redis.pcall('HSET', KEYS[5], newest, ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. started)
redis.pcall('ZADD', KEYS[4], ARGV[4], ARGV[1])
for _, key in ipairs({ KEYS[1], KEYS[4], KEYS[5] }) do
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end
local mark = redis.call('GET', KEYS[2]) or ''
local epoch = redis.call('GET', KEYS[3]) or '0'
if tonumber(started) > tonumber(epoch) then epoch = '0' end
return { mark, epoch }
