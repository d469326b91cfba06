--[[
  Lets a claim go. Invariant: only the holder's own; one that expired and is another's by now stays.

  KEYS[1]  the claim
  ARGV[1]  what it must say

  Output: 1 when it was let go, else 0
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
