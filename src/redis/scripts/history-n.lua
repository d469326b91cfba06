--[[
  Adds logins to their users' histories. Invariant: a history holds the newest logins only, none that is older than may be
  kept when one is added, and each of them once.

  KEYS[1..]  for each login, the history of its user
  ARGV[1]  how long a history is kept, in milliseconds
  ARGV[2]  how many logins it holds
  ARGV[3]  1 where these may be there already, e.g. because the job is repeated
  ARGV[4..]  three for each login: its time in milliseconds, how its entry begins (its login id), and the entry

  Output: how many logins were told
]]
for i, history in ipairs(KEYS) do
  local at = 3 * i + 1
  if ARGV[3] == '1' then
    for _, entry in ipairs(redis.call('ZRANGEBYSCORE', history, ARGV[at], ARGV[at])) do
      if string.sub(entry, 1, #ARGV[at + 1]) == ARGV[at + 1] then redis.call('ZREM', history, entry) end
    end
  end
  redis.call('ZADD', history, ARGV[at], ARGV[at + 2])
  redis.call('ZREMRANGEBYRANK', history, 0, -1 - ARGV[2])
  redis.call('ZREMRANGEBYSCORE', history, '-inf', string.format('(%.0f', ARGV[at] - ARGV[1]))
  redis.call('PEXPIRE', history, ARGV[1])
end
return #KEYS
