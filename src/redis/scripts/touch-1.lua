--[[
  Renews a live session's time to live, never past its absolute end, and notes the time of renewal in the value (a
  fixed-width field). Invariant: no tombstone's time to live changes.

  KEYS[1]  the session's key
  ARGV[1]  now, milliseconds since the epoch, 13 digits
  ARGV[2]  the time to live wanted, in milliseconds

  Output: 'live' when renewed; else 'gone', 'logout', 'moved', 'revoked', 'foreign'
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 299)
if head == '' then return 'gone' end
local kind = string.match(head, '^{"__bouncer":{"k":"(%l+)"')
if kind ~= 'live' then return kind or 'foreign' end
local ends = tonumber(string.match(head, '"e":(%d+)'))
local ttl = math.min(tonumber(ARGV[2]), ends - tonumber(ARGV[1]))
if ttl <= 0 then return 'gone' end
-- A full Redis refuses a script's first write that may need memory, and only the first: this one needs none.
redis.call('PEXPIRE', KEYS[1], ttl)
-- {"__bouncer":{"k":"live","r":  is 29 bytes: the 13 digits of the renewal time follow.
redis.call('SETRANGE', KEYS[1], 29, ARGV[1])
return 'live'
