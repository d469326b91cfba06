--[[
  Counts what happens in a window. Invariant: the count ends with its window.

  KEYS[1]  the count
  ARGV[1]  the window in milliseconds, from the first one on

  Output: how many there were in this window, this one included
]]
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count
