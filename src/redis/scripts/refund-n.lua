--[[
  Gives back one try of each name: it was no refusal. Invariant: no count goes below zero, none lives longer.

  KEYS[1..]  the counts

  Output: how many were given back
]]
local given_back = 0
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then
    redis.call('DECR', key)
    given_back = given_back + 1
  end
end
return given_back
