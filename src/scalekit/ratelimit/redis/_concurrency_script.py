"""`_leases.py` as a Lua script: who holds a place of a key, and who waits, on a Redis server.

The state of a key is one string, made by cmsgpack: the holders, then the line, each a list of name and end,
in order. So a call takes the longer the more there are: some 100 us for 1,000.

Arguments: the operation, the holder, places, lease and patience in microseconds.
Replies with rank (0 for admitted) and when the first lease ends, from now, in microseconds; "renew" and
"release" with 1 or 0 for whether it was there.
"""

from __future__ import annotations

from scalekit.ratelimit.redis._prelude import CLOCK
from scalekit.redis._script import Script

_RULE = """
local key, operation, who = KEYS[1], ARGV[1], ARGV[2]
local places, lease, patience = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local state = redis.call('GET', key)
local held, line = {}, {}

-- Those of a list that have not come to an end, and where `who` is among them.
local function alive(list)
  local kept, place = {}, nil
  for i = 1, #list, 2 do
    if list[i + 1] > now then
      kept[#kept + 1] = list[i]
      kept[#kept + 1] = list[i + 1]
      place = list[i] == who and #kept or place
    end
  end
  return kept, place
end

local holding, waiting
if state then
  state = cmsgpack.unpack(state)
  held, holding = alive(state[1])
  line, waiting = alive(state[2])
end

local function without(list, place)
  table.remove(list, place)
  table.remove(list, place - 1)
end

local reply
if operation == 'release' then
  reply = (holding or waiting) and 1 or 0
  if holding then without(held, holding) end
  if waiting then without(line, waiting) end
elseif operation == 'renew' then
  reply = holding and 1 or 0
  if holding then held[holding] = now + lease end
else
  local rank = (waiting or #line + 2) / 2
  if holding then
    held[holding] = now + lease
    rank = 0
  elseif #held / 2 + rank <= places then
    if waiting then without(line, waiting) end
    held[#held + 1] = who
    held[#held + 1] = now + lease
    rank = 0
  elseif waiting then
    line[waiting] = now + patience
  else
    line[#line + 1] = who
    line[#line + 1] = now + patience
  end
  local first = now + lease
  for i = 2, #held, 2 do
    first = math.min(first, held[i])
  end
  reply = {rank, first - now}
end

local last = now
for _, list in ipairs({held, line}) do
  for i = 2, #list, 2 do
    last = math.max(last, list[i])
  end
end
if last == now then
  redis.call('DEL', key)
else
  redis.call('SET', key, cmsgpack.pack({held, line}), 'PX', math.ceil((last - now) / 1000) + MARGIN)
end
return reply
"""


def script(clock: str = CLOCK) -> Script:
    """Return the script; `clock` are the lines of it that set the time."""
    return Script(clock + _RULE)
