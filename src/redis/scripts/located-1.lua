--[[
  Adds to a login's entry where the worker located it. Invariant: no entry comes back by it.

  KEYS[1]  what is known of the user's logins
  ARGV[1]  the login id (lid)
  ARGV[2]  countries, separated by `|`

  Output: 1 when noted, 0 when there is no such entry
]]
if redis.call('HEXISTS', KEYS[1], ARGV[1] .. '/h') == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. '/c', ARGV[2])
return 1
