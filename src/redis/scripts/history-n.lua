--[[
  Adds logins to their users' histories. Invariant: a history holds the newest logins only, none older than may be kept, and each
  of them once.

  KEYS[1..]  for each login, the history of its user
  ARGV[1]  how long a history is kept, in milliseconds
  ARGV[2]  how many logins it holds
  ARGV[3]  1 where these may be there already, e.g. because the job is repeated
  ARGV[4..]  one for each login: its entry, which begins with its login id and its time

  Output: how many logins were told
]]
local call, match = redis.call, string.match
local keep, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local function timeOf(entry) return tonumber(match(entry, '^%["[%w_-]+",(%d+)')) or 0 end
for i, history in ipairs(KEYS) do
  local entry = ARGV[i + 3]
  if ARGV[3] == '1' then
    local head = match(entry, '^%["[^"]*",')
    for _, one in ipairs(call('LRANGE', history, 0, -1)) do
      if head and string.sub(one, 1, #head) == head then call('LREM', history, 1, one) end
    end
  end
  local length = call('LPUSH', history, entry)
  if length > most then call('LTRIM', history, 0, most - 1) end
  if length > 1 then
    local oldest = timeOf(entry) - keep
    while timeOf(call('LINDEX', history, -1)) < oldest do call('RPOP', history) end
  end
  call('PEXPIRE', history, ARGV[1])
end
return #KEYS
