--[[
  Notes what could not be used. Invariant: a batch that is done again, because its worker died after noting it, is noted
  and counted once; the list is bounded, the count goes on.

  KEYS[1]  the list, newest first
  KEYS[2]  the count
  KEYS[3]  the mark that this batch was noted
  ARGV[1]  how long the mark stands, in milliseconds
  ARGV[2]  index of the last entry that is kept
  ARGV[3..]  the entries as JSON

  Output: 1 when noted, 0 when this batch was noted before
]]
if not redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[1]) then return 0 end
for i = 3, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[i]) end
redis.call('LTRIM', KEYS[1], 0, ARGV[2])
redis.call('INCRBY', KEYS[2], #ARGV - 2)
return 1
