--[[
  Saves a session. Invariant: only a live session is ever overwritten, so nothing that ended comes back; an id is only
  created by the request that generated it.

  KEYS[1]  the session's key
  ARGV[1]  '1': the id was generated in this request and never loaded; '0': the session was loaded
  ARGV[2]  the birth token of this session object: its own first save may be repeated
  ARGV[3]  the whole value
  ARGV[4]  time to live in milliseconds

  Output: 'live' when written; else why not: 'gone' (absent), 'taken' (another session has this new id), 'logout',
  'moved', 'revoked' (a tombstone stands there), 'foreign' (not a value of ours)
]]
local head = redis.call('GETRANGE', KEYS[1], 0, 299)
if head == '' then
  if ARGV[1] ~= '1' then return 'gone' end
else
  local kind = string.match(head, '^{"__bouncer":{"k":"(%l+)"')
  if kind ~= 'live' then return kind or 'foreign' end
  if ARGV[1] == '1' and string.match(head, '"b":"([%w_-]+)"') ~= ARGV[2] then return 'taken' end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 'live'
