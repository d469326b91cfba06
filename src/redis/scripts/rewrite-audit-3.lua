--[[
  Copies a part of the audit, with some entries in other words; with the last part, the copy takes its place.
  Invariant: the order, the ids and the number of the entries stay, also of those that are added meanwhile; only who holds
  the claim writes.

  KEYS[1]  the audit
  KEYS[2]  the copy
  KEYS[3]  the claim
  ARGV[1]  what the claim must say
  ARGV[2]  the entries after this id are copied
  ARGV[3]  up to this id; '+' for the last part
  ARGV[4]  how long a copy that is not finished is kept, and the claim from now on, in milliseconds
  ARGV[5..]  pairs: the id of an entry, and what it says now

  Output: how many entries were copied, or -1 when the claim is another's
]]
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return -1 end
local instead = {}
for i = 5, #ARGV, 2 do instead[ARGV[i]] = ARGV[i + 1] end
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], ARGV[3])
for _, entry in ipairs(entries) do
  redis.call('XADD', KEYS[2], entry[1], 'entry', instead[entry[1]] or entry[2][2])
end
if ARGV[3] ~= '+' then
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
  return #entries
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('PERSIST', KEYS[2])
  redis.call('RENAME', KEYS[2], KEYS[1])
end
redis.call('DEL', KEYS[3])
return #entries
