"""What the Lua scripts of all algorithms begin with: the time, the operands, the reply, a change of plan.

Every state is one string, big-endian, that starts with the letter of its kind. A state of another kind
counts as none: limiters keep the algorithms apart by the name of the key.

Times are integer microseconds of the server's clock. Lua has doubles, which are exact below 2**53: as
times that is the year 2255. A quotient of integers below that is rounded to the right side, too: the
distance of a/b to the next integer is at least 1/b, which is more than half of a double's last digit.

Arguments: the operation, its cost, and the plan: units (uint32) and window (double) of each limit.
Replies with remaining and reset of each limit, and if it is a denial retry of each, as int64. A denial
and a peek write nothing.
"""

from __future__ import annotations

CLOCK = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local MARGIN = 10  -- milliseconds; the server expires by another reading of its clock than TIME's
"""

PRELUDE = """
local VACANT = -9007199254740992  -- a time older than any window reaches back
local key, operation, cost, plan = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local n = #plan / 12
-- A script is compiled once but makes its functions anew in every run: those of rare cases are made where
-- they are needed.
local read, write, floor, ceil = struct.unpack, struct.pack, math.floor, math.ceil

-- Units and window of the i-th limit of a plan.
local function limit(of, i)
  return read('>I4d', of, 12 * i - 11)
end

local function told(reply, count)
  return write('>' .. string.rep('i8', count), unpack(reply, 1, count))
end
"""

PREDECESSORS = """
  -- For each limit of the plan, which of the `count` limits of the old one it takes over from.
  local from = {}
  for i = 1, n do
    local _, window = limit(plan, i)
    local best, kept = 0, 0
    for j = 1, count do
      local _, other = limit(old, j)
      if best == 0 or other >= window and (kept < window or other < kept)
          or kept < other and other < window then
        best, kept = j, other
      end
    end
    from[i] = best
  end
"""

# For states of a fixed number of bytes per limit: kind, latest admission (double), plan, numbers.
COUNTS = """
local state = redis.call('GET', key)
local latest, old, known = VACANT, plan, {}
local count = n
if state and string.sub(state, 1, 1) == KIND then
  count = (#state - 9) / (12 + WIDTH)
  latest = read('>d', state, 2)
  old = string.sub(state, 10, 9 + 12 * count)
  known = {read('>' .. string.rep(FORM, count), state, 10 + 12 * count)}
elseif operation == 'refund' then
  return 0
else
  for i = 1, n * PER do
    known[i] = 0
  end
end

local function saved(of, count)
  local counts = write('>' .. string.rep(FORM, count), unpack(known, 1, count * PER))
  return KIND .. write('>d', latest) .. of .. counts
end

local at = now > latest and now or latest
"""
