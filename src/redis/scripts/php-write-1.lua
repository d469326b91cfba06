--[[
  Changes or deletes a session that PHP keeps. Invariant: only while the value is still what was read, and a changed session
  lives no longer than it would have.

  KEYS[1]  the session's key, as phpredis spells it
  ARGV[1]  what was read: the whole value, or, to delete it, its beginning
  ARGV[2]  'set' or 'delete'
  ARGV[3]  the new value; '' with 'delete'

  Output: 1 when it was done, 0 when the value is another one by now
]]
if ARGV[2] == 'delete' then
  if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
  return redis.call('DEL', KEYS[1])
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('PTTL', KEYS[1])
-- A full Redis refuses a script's first write that needs memory, and only the first: one that needs none goes before it.
redis.call('PERSIST', KEYS[1])
if left == -1 then redis.call('SET', KEYS[1], ARGV[3]) else redis.call('SET', KEYS[1], ARGV[3], 'PX', math.max(1, left)) end
return 1
