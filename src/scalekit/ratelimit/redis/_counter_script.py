"""The sliding window counter as a Lua script: `_sliding_counter.py` on a Redis server, verdict for verdict.

The state of a key: "C", the plan, two counts of each limit (uint32): of the window before and of the
current one, and the latest admission.
"""

from __future__ import annotations

from scalekit.ratelimit.redis._prelude import ADMITTED, COUNTS, PREDECESSORS, PRELUDE, REFUNDED

_FORM = """
local KIND, FORM, WIDTH, PER = 'C', 'I4I4', 8, 2
"""

_REFUND = """
if operation == 'refund' then
  for i = 1, count do
    local before, current = known[2 * i - 1], known[2 * i]
    known[2 * i - 1] = math.max(0, before + math.min(0, current - cost))
    known[2 * i] = math.max(0, current - cost)
  end
"""

_CHANGE = """

if old ~= plan then
"""

_RULE = """
  local taken = {}
  for i = 1, n do
    taken[2 * i - 1], taken[2 * i] = known[2 * from[i] - 1], known[2 * from[i]]
  end
  known = taken
end

-- The length of a tick, and how many a window has.
local function ticks_of(window)
  local tick = math.max(1, floor(window / 1048576))
  return tick, ceil(window / tick)
end

-- After how much of the next window no more than `room` of `before` count.
local function wait(before, window, room)
  local tick, ticks = ticks_of(window)
  return math.min(window, (ticks - floor(room * ticks / before)) * tick)
end

local admitted, reply = true, {}
local late, over = at - now, 0
for i = 1, n do
  local units, window = limits[2 * i - 1], limits[2 * i]
  local before, current = known[2 * i - 1], known[2 * i]
  local passed = at % window
  local start = at - passed
  if start > latest then
    before, current = start - window <= latest and current or 0, 0
  end
  local used = current
  if before > 0 then
    local tick, ticks = ticks_of(window)
    used = used + ceil(before * (ticks - floor(passed / tick)) / ticks)
  end
  local rest, retry = late + (window - passed), 0  -- of the current window
  if used + cost > units then
    admitted = false
    if cost > units then
      retry = -1
    elseif current + cost <= units then
      retry = rest - window + wait(before, window, units - cost - current)
    else
      retry = rest + wait(current, window, units - cost)
    end
  end
  reply[i] = used < units and units - used or 0
  reply[n + i] = current > 0 and rest + window or before > 0 and rest or 0
  reply[2 * n + i] = retry
  known[2 * i - 1], known[2 * i] = before, current
  if rest + window > over then
    over = rest + window
  end
end
if not admitted then
  return write(DENIAL, unpack(reply, 1, 3 * n))
elseif operation == 'peek' then
  return write(ANSWER, unpack(reply, 1, 2 * n))
end

for i = 1, n do
  local window = limits[2 * i]
  known[2 * i], reply[i] = known[2 * i] + cost, reply[i] - cost
  reply[n + i] = late + (window - at % window) + window
end
"""

SOURCE = PRELUDE + _FORM + COUNTS + _REFUND + REFUNDED + _CHANGE + PREDECESSORS + _RULE + ADMITTED
