--[[
  May this user be sent one mail more? Invariant: however many workers ask, a user gets no more mails in a day than the limit,
  whoever makes the incidents; a question that was let through once is let through again, so that a repeated job decides the same.

  KEYS[1]  the user's questions, scored by when
  ARGV[1]  now, in milliseconds
  ARGV[2]  a day, in milliseconds
  ARGV[3]  the limit
  ARGV[4]  how long questions are kept, in milliseconds, at least a day
  ARGV[5]  this question

  Output: 1 or 0
]]
local now = tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]))
if redis.call('ZSCORE', KEYS[1], ARGV[5]) then return 1 end
if redis.call('ZCOUNT', KEYS[1], '(' .. (now - tonumber(ARGV[2])), '+inf') >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
