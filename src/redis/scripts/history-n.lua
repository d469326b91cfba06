--[[
  Adds logins to their users' histories. Invariant: a history holds the newest logins only, none older than may be kept, and each
  of them once.

  KEYS[1..]  for each login, the history of its user
  ARGV[1]  how long a history is kept, in milliseconds
  ARGV[2]  how many logins it holds
  ARGV[3]  1 where these may be there already, e.g. because the job is repeated
  ARGV[4..]  two for each login: how its entry begins (its login id), and the entry

  Output: how many logins were told
]]
local function timeOf(entry) return tonumber(string.match(entry, '^%["[%w_-]+",(%d+)')) or 0 end
for i, history in ipairs(KEYS) do
  local at = 2 * i + 2
  if ARGV[3] == '1' then
    for _, entry in ipairs(redis.call('LRANGE', history, 0, -1)) do
      if string.sub(entry, 1, #ARGV[at]) == ARGV[at] then redis.call('LREM', history, 1, entry) end
    end
  end
  local length = redis.call('LPUSH', history, ARGV[at + 1])
  if length > tonumber(ARGV[2]) then redis.call('LTRIM', history, 0, ARGV[2] - 1) end
  local oldest = timeOf(ARGV[at + 1]) - tonumber(ARGV[1])
  while timeOf(redis.call('LINDEX', history, -1)) < oldest do redis.call('RPOP', history) end
  redis.call('PEXPIRE', history, ARGV[1])
end
return #KEYS
