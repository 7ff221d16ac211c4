"""The fixed window counter as a Lua script: `_fixed_window.py` on a Redis server, verdict for verdict.

The state of a key: "F", the plan, the count of each limit (uint32), and the latest admission.
"""

from __future__ import annotations

from scalekit.ratelimit.redis._prelude import ADMITTED, COUNTS, PREDECESSORS, PRELUDE, REFUNDED

_FORM = """
local KIND, FORM, WIDTH, PER = 'F', 'I4', 4, 1
"""

_REFUND = """
if operation == 'refund' then
  for i = 1, count do
    known[i] = math.max(0, known[i] - cost)
  end
"""

_CHANGE = """

if old ~= plan then
"""

_RULE = """
  local taken = {}
  for i = 1, n do
    taken[i] = known[from[i]]
  end
  known = taken
end

local admitted, reply = true, {}
local over = 0  -- for the longest of them
for i = 1, n do
  local units, window = limits[2 * i - 1], limits[2 * i]
  local start = at - at % window
  local used, ends, retry = known[i], start + window - now, 0
  if start > latest then
    used = 0
  end
  if used + cost > units then
    admitted = false
    retry = cost <= units and ends or -1
  end
  reply[i] = used < units and units - used or 0
  reply[n + i] = used > 0 and ends or 0
  reply[2 * n + i] = retry
  known[i] = used
  if ends > over then
    over = ends
  end
end
if not admitted then
  return write(DENIAL, unpack(reply, 1, 3 * n))
elseif operation == 'peek' then
  return write(ANSWER, unpack(reply, 1, 2 * n))
end

for i = 1, n do
  local window = limits[2 * i]
  known[i], reply[i] = known[i] + cost, reply[i] - cost
  reply[n + i] = at - at % window + window - now
end
"""

SOURCE = PRELUDE + _FORM + COUNTS + _REFUND + REFUNDED + _CHANGE + PREDECESSORS + _RULE + ADMITTED
