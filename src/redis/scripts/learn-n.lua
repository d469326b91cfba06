--[[
  Writes baselines, each only if its stored revision is still the one it was made from. Invariant: no login's teaching
  is lost to another one's; one unreadable key fails alone.

  KEYS[1..]  the baselines' keys
  ARGV[1]  time to live in milliseconds
  ARGV[2..]  two for each key: the revision expected (0: none stored), and the new value

  Output: for each key 1 (written), 0 (another revision is stored) or -1 (the key holds something else)
]]
local written = {}
for i, key in ipairs(KEYS) do
  local head = redis.pcall('GETRANGE', key, 0, 31)
  if type(head) == 'table' then
    written[i] = -1
  elseif (string.match(head, '^{"r":(%d+)') or '0') == ARGV[2 * i] then
    redis.call('SET', key, ARGV[2 * i + 1], 'PX', ARGV[1])
    written[i] = 1
  else
    written[i] = 0
  end
end
return written
