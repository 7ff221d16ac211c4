"""What the Lua scripts of all algorithms begin with: the time, the operands, the reply, a change of plan.

Every state is one string, big-endian, that starts with the letter of its kind. A state of another kind
counts as none: limiters keep the algorithms apart by the name of the key.

Times are integer microseconds of the server's clock. Lua has doubles, which are exact below 2**53: as
times that is the year 2255. A quotient of integers below that is rounded to the right side, too: the
distance of a/b to the next integer is at least 1/b, which is more than half of a double's last digit.

There is a script for each number of limits, which spares it to count them. Its arguments: the operation,
its cost, and the plan: units (uint32) and window (double) of each limit.
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
-- A script is compiled once but makes its functions anew in every run: those of rare cases are made where
-- they are needed.
local read, write, floor, ceil = struct.unpack, struct.pack, math.floor, math.ceil
local limits = {read(LIMITS, plan)}  -- units and window of each

-- Units and window of the i-th limit of any plan.
local function limit(of, i)
  return read('>I4d', of, 12 * i - 11)
end
"""

PREDECESSORS = """
  -- For each limit of the plan, which of the `count` limits of the old one it takes over from.
  local from = {}
  for i = 1, n do
    local window = limits[2 * i]
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

# For states of a fixed number of bytes per limit: kind, plan, numbers, latest admission (double).
COUNTS = """
local slots, form = n * PER, '>' .. string.rep(FORM, n) .. 'd'
local state, old, count, known = redis.call('GET', key), plan, n, nil
if state and #state == 9 + (12 + WIDTH) * n and string.sub(state, 1, 1 + 12 * n) == KIND .. plan then
  known = {read(form, state, 2 + 12 * n)}
elseif state and string.sub(state, 1, 1) == KIND then
  count = (#state - 9) / (12 + WIDTH)
  old = string.sub(state, 2, 1 + 12 * count)
  known = {read('>' .. string.rep(FORM, count) .. 'd', state, 2 + 12 * count)}
elseif operation == 'refund' then
  return 0
else
  known = {}
  for i = 1, slots do
    known[i] = 0
  end
  known[slots + 1] = VACANT
end
local latest = known[count * PER + 1]
local at = now > latest and now or latest
"""

# After a refund; the time to live stays.
REFUNDED = """
  local form = '>' .. string.rep(FORM, count) .. 'd'
  redis.call('SET', key, KIND .. old .. write(form, unpack(known, 1, count * PER + 1)), 'KEEPTTL')
  return 0
end
"""

# After a hit, of which nothing counts any more when `over` has passed.
ADMITTED = """
known[slots + 1] = at
local saved = KIND .. plan .. write(form, unpack(known, 1, slots + 1))
redis.call('SET', key, saved, 'PX', ceil(over / 1000) + MARGIN)
return write(ANSWER, unpack(reply, 1, 2 * n))
"""


def shape_of(count: int) -> str:
    """Return the lines that say how many limits there are, and how they and the replies are packed."""
    forms = f"'>{'I4d' * count}', '>{'i8' * 2 * count}', '>{'i8' * 3 * count}'"
    return f"local n, LIMITS, ANSWER, DENIAL = {count}, {forms}\n"
