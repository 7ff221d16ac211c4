"""What runs on the server: only for writes, where a check and a change must be one step."""

from __future__ import annotations

from scalekit.redis._script import Script

# KEYS: the entry, the token of its loads, those of its tags (none on a cluster, where they may be elsewhere).
# ARGV: the entry's life (0 to take it away), how long tokens must live and how long they are given, the entry
# up to its tags, what it says of those that are not among KEYS, "1" where the tokens were seen before a load
# and "0" where they are new ones to use in place of lost ones, the tokens.
WRITE = Script("""
local tags = {}
for i = 2, #KEYS do
  local given, token = ARGV[i + 5], redis.call('GET', KEYS[i])
  if ARGV[6] == '1' then
    if token ~= given then return 0 end
  elseif i == 2 or not token then
    redis.call('SET', KEYS[i], given, 'PX', ARGV[3])
    token = given
  end
  if i > 2 then tags[i - 2] = '$' .. #KEYS[i] .. '\\r\\n' .. KEYS[i] .. '\\r\\n' .. token end
end
for i = 2, #KEYS do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
end
if ARGV[1] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[4] .. table.concat(tags) .. ARGV[5], 'PX', ARGV[1])
end
return 1
""")

# KEYS: the token of a tag. ARGV: how long it must live and how long it is given, the token to make where
# there is none, or nothing. Returns the token.
KEEP = Script("""
local token = redis.call('GET', KEYS[1])
if not token and ARGV[3] ~= '' then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
  return ARGV[3]
end
if token and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return token
""")
