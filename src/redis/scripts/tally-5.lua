--[[
  Adds a batch to the running totals and to the counts over time. Invariant: a batch that is done again, because its worker
  died after counting, counts once, in all of them.

  KEYS[1]  the mark that this batch was counted
  KEYS[2]  the totals
  KEYS[3]  counts per minute, of this hour
  KEYS[4]  counts per hour, of this day
  KEYS[5]  counts per country, of this hour
  ARGV[1]  how long the mark stands, in milliseconds
  ARGV[2]  how long minutes are kept, in milliseconds
  ARGV[3]  how long hours and countries are kept, in milliseconds
  ARGV[4]  the minute in its hour
  ARGV[5]  the hour in its day
  ARGV[6]  how many totals follow
  ARGV[7]  how many counts over time follow
  ARGV[8..]  two for each total, for each count, and then for each country's count: its name, and how much to add

  Output: 1 when added, 0 when this batch was counted before
]]
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
local counts = 8 + 2 * ARGV[6]
local countries = counts + 2 * ARGV[7]
for i = 8, counts - 1, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
for i = counts, countries - 1, 2 do
  redis.call('HINCRBY', KEYS[3], ARGV[4] .. ':' .. ARGV[i], ARGV[i + 1])
  redis.call('HINCRBY', KEYS[4], ARGV[5] .. ':' .. ARGV[i], ARGV[i + 1])
end
for i = countries, #ARGV, 2 do redis.call('HINCRBY', KEYS[5], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('PEXPIRE', KEYS[4], ARGV[3])
redis.call('PEXPIRE', KEYS[5], ARGV[3])
return 1
