--[[
  Lets a session lock of phpredis go, as phpredis does itself. Invariant: only the holder's own; one that expired and is
  another's by now stays.

  KEYS[1]  the lock's key
  ARGV[1]  the secret that it was taken with

  Output: 1 when it was let go, else 0
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
