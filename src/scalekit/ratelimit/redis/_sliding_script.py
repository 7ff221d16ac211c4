"""The sliding window as a Lua script: `_sliding_window.py` on a Redis server, verdict for verdict.

The limits up to `EXACT` units share a log, each larger one has parts, as in `_sliding_log.py` and
`_sliding_parts.py`. The state of a key, all in one string:

    offset 0   kind: "W", or "L" where every limit has a log
    offset 1   latest admission (double), even if it was refunded: time never runs backwards
    offset 9   span (double), the longest window that the log served: what is older may be lost
    offset 17  head (uint32), the ring's oldest slot
    offset 21  size (uint32) of the ring
    offset 25  number of limits (uint16)
    offset 27  the plan, then for each large limit its newest part (double) and its total (uint32), modulo
               65536 steps: it is asked for no more
    then       the sums of each large limit (193 x uint16)
    then       the ring: `size` admission times (doubles), from head on ascending, cyclically

What a hit changes is a few bytes, which SETRANGE writes. A state that is new, that has another plan, or
whose ring grows is put together here and SET: SETRANGE beyond the end would reserve twice the memory.
"""

from __future__ import annotations

from scalekit.ratelimit._quota import EXACT
from scalekit.ratelimit.redis._prelude import PRELUDE
from scalekit.ratelimit.redis._sliding_change import CHANGE

_STATE = """
local SLOT = 8
local NEARBY = 512  -- slots read together with the header; beyond them one read per step of a search
local PARTS, SUMS, WRAP = 192, 193, 65536

-- Offsets of what follows the plan: newest and total of each large limit, their sums, the ring.
local heads_at, sums_at, ring_at
local function lay_out(of, count)
  local coarse = 0
  for i = 1, count do
    if limit(of, i) > EXACT then
      coarse = coarse + 1
    end
  end
  heads_at = 27 + 12 * count
  sums_at = heads_at + 12 * coarse
  ring_at = sums_at + 2 * SUMS * coarse
  return coarse
end

local coarse = lay_out(plan, n)
local state, stored = redis.call('GETRANGE', key, 0, ring_at + SLOT * NEARBY - 1), true
local latest, span, head, size, count, old = VACANT, 0, 0, 1, n, plan
if string.sub(state, 1, 1) == KIND then
  latest, span, head, size, count = read('>ddI4I4I2', state, 2)
  old = string.sub(state, 28, 27 + 12 * count)
  if old ~= plan then
    state = redis.call('GET', key)
    old = string.sub(state, 28, 27 + 12 * count)
    lay_out(old, count)
  end
elseif operation == 'refund' then
  return 0
else
  state = string.rep('\\0', heads_at) .. string.rep(write('>dI4', VACANT, 0), coarse)
    .. string.rep('\\0', 2 * SUMS * coarse) .. write('>d', VACANT)
  stored = false
end
local at = now > latest and now or latest

local function put(offset, bytes)
  if stored then
    redis.call('SETRANGE', key, offset, bytes)
  else
    state = string.sub(state, 1, offset) .. bytes .. string.sub(state, offset + #bytes + 1)
  end
end

-- Put `count` copies of `bytes` from the slot `from` on, cyclically.
local function put_run(offset, slots, from, count, bytes)
  local run = string.rep(bytes, count)
  local until_wrap = #bytes * math.min(count, slots - from)
  put(offset + #bytes * from, string.sub(run, 1, until_wrap))
  if #run > until_wrap then
    put(offset, string.sub(run, until_wrap + 1))
  end
end

-- -- the log

local function nth_oldest(n)
  local offset = ring_at + SLOT * ((head + n) % size)
  if offset < #state then
    return (read('>d', state, offset + 1))
  end
  return (read('>d', redis.call('GETRANGE', key, offset, offset + SLOT - 1)))
end

-- Units after `cut`; of more than `most` it is `most`.
local function logged_since(cut, most)
  local low, high = most < size and size - most or 0, size
  while low < high do
    local middle = floor((low + high) / 2)
    if nth_oldest(middle) > cut then
      high = middle
    else
      low = middle + 1
    end
  end
  return size - low
end

-- -- the parts

local function oldest_part(window)
  return floor((at - window + 1) / ceil(window / PARTS))
end

-- Units of the c-th large limit in the part `oldest` and later ones.
local function since(c, step, oldest)
  local newest, total = read('>dI4', state, heads_at + 12 * c - 11)
  if oldest > newest then
    return 0
  end
  local sum = read('>I2', state, sums_at + 2 * (SUMS * (c - 1) + oldest % SUMS) + 1)
  return (floor(total / step) - sum) % WRAP * step + total % step
end
"""

_REFUND = """
if operation == 'refund' then
  local heads, c = '', 0
  for i = 1, count do
    local units, window = limit(old, i)
    if units > EXACT then
      c = c + 1
      local step = ceil(units / 65535)
      local newest, total = read('>dI4', state, heads_at + 12 * c - 11)
      local oldest = floor((latest - window + 1) / ceil(window / PARTS))
      local before = floor(total / step)
      total = total - math.min(cost, since(c, step, oldest))
      local after = floor(total / step)
      local place = sums_at + 2 * SUMS * (c - 1)
      local sums = {read('>' .. string.rep('I2', SUMS), state, place + 1)}
      for begun = newest, oldest, -1 do
        local slot = begun % SUMS + 1
        if (before - sums[slot]) % WRAP >= before - after then
          break
        end
        sums[slot] = after % WRAP
      end
      put(place, write('>' .. string.rep('I2', SUMS), unpack(sums, 1, SUMS)))
      heads = heads .. write('>dI4', newest, total % (step * WRAP))
    end
  end
  if c < count then
    local taken = math.min(cost, size)
    head = (head - taken) % size
    put_run(ring_at, size, head, taken, write('>d', VACANT))
  end
  -- Its time to live stays.
  put(0, KIND .. write('>ddI4I4I2', latest, span, head, size, count) .. old .. heads)
  return 0
end
"""

_RULE = """
local used, admitted, c, largest, longest = {}, true, 0, 0, 0
for i = 1, n do
  local units, window = limits[2 * i - 1], limits[2 * i]
  if units > EXACT then
    c = c + 1
    used[i] = since(c, ceil(units / 65535), oldest_part(window))
  else
    used[i] = logged_since(at - window, units)
    largest, longest = math.max(largest, units), math.max(longest, window)
  end
  admitted = admitted and used[i] + cost <= units
end

local reply = {}
if operation == 'peek' or not admitted then
  -- The first part, from `oldest` on, from which at most `room` units were admitted.
  local function gone(c, step, oldest, room)
    local low, high = oldest, read('>d', state, heads_at + 12 * c - 11) + 1
    while low < high do
      local middle = floor((low + high) / 2)
      if since(c, step, middle) <= room then
        high = middle
      else
        low = middle + 1
      end
    end
    return low
  end

  local newest = largest > 0 and nth_oldest(size - 1)
  c = 0
  for i = 1, n do
    local units, window = limits[2 * i - 1], limits[2 * i]
    local reset, retry, count = 0, 0, used[i]
    local denied = count + cost > units
    if denied and cost > units then
      retry = -1
    end
    if units > EXACT then
      c = c + 1
      local part, step, oldest = ceil(window / PARTS), ceil(units / 65535), oldest_part(window)
      if count > 0 then  -- a search only after a refund: otherwise the newest part has something
        local newest = read('>d', state, heads_at + 12 * c - 11)
        newest = since(c, step, newest) > 0 and newest + 1 or gone(c, step, oldest, 0)
        reset = newest * part + window - 1 - now
      end
      if denied and retry == 0 then
        retry = gone(c, step, oldest, units - cost) * part + window - 1 - now
      end
    else
      if count > 0 then
        reset = newest + window - now
      end
      if denied and retry == 0 then
        retry = nth_oldest(size - (units - cost + 1)) + window - now
      end
    end
    reply[i], reply[n + i], reply[2 * n + i] = math.max(0, units - count), reset, retry
  end
  return write(admitted and ANSWER or DENIAL, unpack(reply, 1, admitted and 2 * n or 3 * n))
end

latest = at
if largest > 0 then
  span = math.max(span, longest)
  -- A slot may be lost when every limit has let go of it: it is past the longest window, or the ring
  -- holds as many units as the largest limit, which has just been judged to admit the cost.
  if size < largest and (cost > size or nth_oldest(cost - 1) > at - span) then
    local larger = math.min(largest, size + math.max(size, cost))
    state = stored and redis.call('GET', key) or state
    stored = false
    state = string.sub(state, 1, ring_at) .. string.rep(write('>d', VACANT), larger - size)
      .. string.sub(state, ring_at + SLOT * head + 1) .. string.sub(state, ring_at + 1, ring_at + SLOT * head)
    head, size = 0, larger
  end
  put_run(ring_at, size, head, cost, write('>d', at))
  head = (head + cost) % size
end

local heads, over = '', largest > 0 and at + span or 0
c = 0
for i = 1, n do
  local units, window = limits[2 * i - 1], limits[2 * i]
  local back = at + window
  if units > EXACT then
    c = c + 1
    local part, step = ceil(window / PARTS), ceil(units / 65535)
    local newest, total = read('>dI4', state, heads_at + 12 * c - 11)
    local current = floor(at / part)
    if current > newest then
      local begun = math.min(current - newest, SUMS)
      local sum = write('>I2', floor(total / step) % WRAP)
      put_run(sums_at + 2 * SUMS * (c - 1), SUMS, (current - begun + 1) % SUMS, begun, sum)
    end
    heads = heads .. write('>dI4', current, (total + cost) % (step * WRAP))
    back = (current + 1) * part + window - 1
    over = math.max(over, back)
  end
  reply[i], reply[n + i] = units - used[i] - cost, back - now
end
put(0, KIND .. write('>ddI4I4I2', latest, span, head, size, n) .. plan .. heads)
if stored then
  redis.call('PEXPIRE', key, ceil((over - now) / 1000) + MARGIN)
else
  redis.call('SET', key, state, 'PX', ceil((over - now) / 1000) + MARGIN)
end
return write(ANSWER, unpack(reply, 1, 2 * n))
"""

_BODY = _STATE + _REFUND + CHANGE + _RULE
SOURCE = f"{PRELUDE}\nlocal KIND, EXACT = 'W', {EXACT}\n{_BODY}"
LOG_SOURCE = f"{PRELUDE}\nlocal KIND, EXACT = 'L', math.huge\n{_BODY}"
