"""What the script of the sliding window does when the plan of a key has changed, as `SlidingWindow._under`.

A large limit keeps its parts where the new one has the same parts and steps. Else, and where a limit moves
between log and parts, it takes over the count, as if that had been consumed by the latest admission.
"""

from __future__ import annotations

from scalekit.ratelimit.redis._prelude import PREDECESSORS

_COUNTS = """
if old ~= plan then
  local counts, places, c = {}, {}, 0
  for j = 1, count do
    local units, window = limit(old, j)
    if units > EXACT then
      c = c + 1
      counts[j], places[j] = since(c, ceil(units / 65535), oldest_part(window)), c
    else
      counts[j] = logged_since(at - window, size)
    end
  end

"""

_STATE = """
  local heads, sums = '', ''
  local largest, longest, taken = 0, 0, 0
  for i = 1, n do
    local units, window = limits[2 * i - 1], limits[2 * i]
    local was, was_window = limit(old, from[i])
    local consumed, place = math.min(counts[from[i]], units), places[from[i]]
    if units > EXACT then
      if place and window == was_window and ceil(units / 65535) == ceil(was / 65535) then
        heads = heads .. string.sub(state, heads_at + 12 * place - 11, heads_at + 12 * place)
        sums = sums .. string.sub(state, sums_at + 2 * SUMS * (place - 1) + 1, sums_at + 2 * SUMS * place)
      else
        heads = heads .. write('>dI4', floor(latest / ceil(window / PARTS)), consumed)
        sums = sums .. string.rep('\\0', 2 * SUMS)
      end
    else
      largest, longest = math.max(largest, units), math.max(longest, window)
      if place then
        taken = math.max(taken, consumed)
      end
    end
  end

  local ring = string.sub(state, ring_at + 1)
  if largest == 0 or taken > 0 then
    span, head, size = longest, 0, math.max(taken, 1)
    ring = string.rep(write('>d', VACANT), size - taken) .. string.rep(write('>d', latest), taken)
  end
  lay_out(plan, n)
  state, stored = string.rep('\\0', heads_at) .. heads .. sums .. ring, false
end
"""

CHANGE = _COUNTS + PREDECESSORS + _STATE
