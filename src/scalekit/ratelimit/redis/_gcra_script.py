"""The generic cell rate algorithm as a Lua script: `_gcra.py` on a Redis server, verdict for verdict.

The state of a key: "G", the plan, the backlog of each limit (doubles), and the latest admission. Units
times interval is below 2**53, since a limit is at most 2**31 units; where a cost above its limit makes a
product larger, only the sign of a difference is asked for.
"""

from __future__ import annotations

from scalekit.ratelimit.redis._prelude import ADMITTED, COUNTS, PREDECESSORS, PRELUDE, REFUNDED

_FORM = """
local KIND, FORM, WIDTH, PER = 'G', 'd', 8, 1
"""

_REFUND = """
-- Parts of a microsecond, and how many of them one unit is.
local function terms(units, window)
  local _, bits = math.frexp(window)
  local scale = bits < 52 and math.ldexp(1, 52 - bits) or 1
  return scale, ceil(window * scale / units)
end

if operation == 'refund' then
  for i = 1, count do
    local units, window = limit(old, i)
    local _, interval = terms(units, window)
    known[i] = math.max(0, known[i] - cost * interval)
  end
"""

_CHANGE = """

if old ~= plan then
"""

_RULE = """
  local taken = {}
  for i = 1, n do
    local units, window = limit(old, from[i])
    local _, interval = terms(units, window)
    local used = ceil(known[from[i]] / interval)
    units, window = limits[2 * i - 1], limits[2 * i]
    _, interval = terms(units, window)
    taken[i] = math.min(used, units) * interval
  end
  known = taken
end

local admitted, reply, scales, intervals = true, {}, {}, {}
local late, passed = at - now, at - latest
for i = 1, n do
  local units, window = limits[2 * i - 1], limits[2 * i]
  local scale, interval = terms(units, window)
  local backlog = known[i] - passed * scale
  if backlog < 0 then
    backlog = 0
  end
  local excess, retry = backlog - (units - cost) * interval, 0
  if excess > 0 then
    admitted = false
    retry = cost <= units and late + ceil(excess / scale) or -1
  end
  reply[i] = units - ceil(backlog / interval)
  reply[n + i] = backlog > 0 and late + ceil(backlog / scale) or 0
  reply[2 * n + i] = retry
  known[i], scales[i], intervals[i] = backlog, scale, interval
end
if not admitted then
  return write(DENIAL, unpack(reply, 1, 3 * n))
elseif operation == 'peek' then
  return write(ANSWER, unpack(reply, 1, 2 * n))
end

local over = 0
for i = 1, n do
  local backlog = known[i] + cost * intervals[i]
  local reset = late + ceil(backlog / scales[i])
  known[i], reply[i], reply[n + i] = backlog, reply[i] - cost, reset
  if reset > over then
    over = reset
  end
end
"""

SOURCE = PRELUDE + _FORM + COUNTS + _REFUND + REFUNDED + _CHANGE + PREDECESSORS + _RULE + ADMITTED
