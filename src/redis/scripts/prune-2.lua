--[[
  Takes logins out of a user's registry. Invariant: a login that got a new id since it was looked at stays: each
  enrolment rewrites the value that is compared here.

  KEYS[1]  the user's logins
  KEYS[2]  what is known of them
  ARGV[1..]  two for each login: its id (lid), and its newest id as it was looked at ('' where none was known)

  Output: how many were taken out
]]
local removed = 0
for i = 1, #ARGV, 2 do
  local lid = ARGV[i]
  if (redis.call('HGET', KEYS[2], lid .. '/h') or '') == ARGV[i + 1] then
    redis.call('ZREM', KEYS[1], lid)
    redis.call('HDEL', KEYS[2], lid, lid .. '/h', lid .. '/c')
    removed = removed + 1
  end
end
return removed
