--[[
  Writes a user's epoch: no session that authenticated until then lives on. Invariant: it never goes back, and every login
  that enrols an id after this call is told of it; those before it are in the answer.

  KEYS[1]  the user's epoch
  KEYS[2]  the user's logins
  ARGV[1]  the epoch, milliseconds since 1970
  ARGV[2]  how long it stands, in milliseconds, at least (the latest end of a login may make it longer)

  Output: the ids of the user's logins
]]
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local ttl = math.max(tonumber(ARGV[2]), (tonumber(last) or 0) - tonumber(ARGV[1]))
local before = tonumber(redis.call('GET', KEYS[1]) or '0')
if before < tonumber(ARGV[1]) then
  -- A full Redis refuses a script's first write that needs memory, and only the first: one that needs none goes before it.
  redis.call('PERSIST', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', math.ceil(ttl))
end
return redis.call('ZRANGE', KEYS[2], 0, -1)
