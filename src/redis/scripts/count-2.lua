--[[
  Adds to the running totals. Invariant: a batch that is done again, because its worker died after counting, counts once.

  KEYS[1]  the totals
  KEYS[2]  the mark that this batch was counted
  ARGV[1]  how long the mark stands, in milliseconds
  ARGV[2..]  two for each total: its name, and how much to add

  Output: 1 when added, 0 when this batch was counted before
]]
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return 0 end
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
