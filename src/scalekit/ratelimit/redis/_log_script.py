"""The sliding window log as a Lua script: `_sliding_log.py` on a Redis server, verdict for verdict.

The state of a key is one string, big-endian:

    offset 0   latest admission (double), even if it was refunded: time never runs backwards
    offset 8   span (double), the longest window that admitted anything: what is older may be lost
    offset 16  head (uint32), the ring's oldest slot
    offset 20  size (uint32) of the ring
    offset 24  the ring: `size` admission times (doubles), from head on ascending, cyclically

Times are integer microseconds of the server's clock. A double holds them exactly below 2**53, which is
the year 2255. A ring that is full of live units grows as in `_sliding_log.py`, by a SET of the whole:
SETRANGE beyond the end would reserve twice the memory.

Arguments: the operation, its cost, then units and window of each limit. Replies with 1 or 0 for
allowed, then retry, remaining and reset of each limit. A denial and a peek write nothing.
"""

from __future__ import annotations

from scalekit.ratelimit.redis._prelude import PRELUDE

_RULE = """
local RING = 24
local SLOT = 8
local NEARBY = 128  -- slots read together with the header; beyond them one read per step of a search

local state = redis.call('GETRANGE', key, 0, RING + SLOT * NEARBY - 1)
local latest, span, head, size = VACANT, 0, 0, 1
if #state > 0 then
  latest, span, head, size = struct.unpack('>ddI4I4', state)
elseif operation == 'refund' then
  return 0
else
  state = struct.pack('>ddI4I4d', latest, span, head, size, VACANT)
end
local at = math.max(now, latest)

local function nth_oldest(n)
  local offset = RING + SLOT * ((head + n) % size)
  if offset < #state then
    return (struct.unpack('>d', state, offset + 1))
  end
  return (struct.unpack('>d', redis.call('GETRANGE', key, offset, offset + SLOT - 1)))
end

local function used_since(cut)
  local low, high = 0, size
  while low < high do
    local middle = math.floor((low + high) / 2)
    if nth_oldest(middle) > cut then
      high = middle
    else
      low = middle + 1
    end
  end
  return size - low
end

local function run_of(time, count)
  return string.rep(struct.pack('>d', time), count)
end

local function header()
  return struct.pack('>ddI4I4', latest, span, head, size)
end

local function ttl()
  return math.ceil((at - now + span) / 1000) + MARGIN
end

-- Put `count` times at the oldest slots.
local function overwrite(time, count)
  local run = run_of(time, count)
  local until_wrap = SLOT * math.min(count, size - head)
  redis.call('SETRANGE', key, RING + SLOT * head, string.sub(run, 1, until_wrap))
  if #run > until_wrap then
    redis.call('SETRANGE', key, RING, string.sub(run, until_wrap + 1))
  end
end

local function save_header()
  redis.call('SETRANGE', key, 0, header())
  redis.call('PEXPIRE', key, ttl())
end

-- Make the ring `larger` slots and put `cost` times at the oldest of them.
local function grow(larger)
  local ring = redis.call('GETRANGE', key, RING, -1)
  ring = string.sub(ring, SLOT * head + 1) .. string.sub(ring, 1, SLOT * head)
  ring = run_of(VACANT, larger - #ring / SLOT) .. ring
  head, size = cost % larger, larger
  redis.call('SET', key, header() .. run_of(at, cost) .. string.sub(ring, SLOT * cost + 1), 'PX', ttl())
end

if operation == 'refund' then
  local count = math.min(cost, size)
  head = (head - count) % size
  overwrite(VACANT, count)
  save_header()
  return count
end

local newest = nth_oldest(size - 1)
local admitted, largest, longest = true, 0, 0
local reply = {}
for i = 1, n do
  local units, window = limit(plan, i)
  local used = used_since(at - window)
  local left = units - used
  local retry = 0
  if left < cost then
    admitted = false
    retry = cost <= units and nth_oldest(size - (units - cost + 1)) + window - now or -1
  end
  largest, longest = math.max(largest, units), math.max(longest, window)
  reply[i] = math.max(left, 0)
  reply[n + i] = used > 0 and newest + window - now or 0
  reply[2 * n + i] = retry
end
if not admitted then
  return told(reply, 3 * n)
elseif operation == 'peek' then
  return told(reply, 2 * n)
end

latest, span = at, math.max(span, longest)
-- A slot may be lost when every limit has let go of it: it is past the longest window, or the ring holds
-- as many units as the largest limit, which has just been judged to admit the cost.
if size < largest and (cost > size or nth_oldest(cost - 1) > at - span) then
  grow(math.min(largest, size + math.max(size, cost)))
else
  overwrite(at, cost)
  head = (head + cost) % size
  save_header()
end
for i = 1, n do
  local _, window = limit(plan, i)
  reply[i] = reply[i] - cost
  reply[n + i] = at + window - now
end
return told(reply, 2 * n)
"""

SOURCE = PRELUDE + _RULE
