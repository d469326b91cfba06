--[[
  Counts one try under several names, unless one of them has none left. Invariant: tries that arrive together are counted
  one by one, so no more than the limit are ever let through in a window; every count ends with its window.

  KEYS[1..]  the counts
  ARGV[1]  the window in milliseconds, from the first try on
  ARGV[2..]  how many tries each name has in it, in the order of the keys

  Output: 0 where the try is counted, else how long to wait in milliseconds
]]
local wait = 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
    wait = math.max(wait, redis.call('PTTL', key), 1)
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[1]) end
end
return 0
