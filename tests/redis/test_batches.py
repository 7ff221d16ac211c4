"""Auto-pipelining over a transport that answers when told to."""

from __future__ import annotations

import asyncio

import pytest

from scalekit.redis._batches import _MOST_RUNS, Batches

pytestmark = pytest.mark.anyio


class Transport:
    """Keeps each exchange waiting until `answer` lets it go."""

    def __init__(self):
        self.exchanges = []
        self.gates = []

    async def exchange(self, commands, deliver):
        self.exchanges.append([command[0] for command in commands])
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        for index, command in enumerate(commands):
            deliver(index, f"reply to {command[0]}")

    async def close(self):
        pass


async def ticks(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_while_all_runs_are_busy_commands_gather_for_the_next():
    transport = Transport()
    batches = Batches(transport, timeout=5.0)
    replies = []
    for number in range(_MOST_RUNS + 5):  # each in a tick of its own
        replies.append(batches.submit((f"command {number}",)))
        await ticks()
    assert transport.exchanges == [[f"command {number}"] for number in range(_MOST_RUNS)]
    transport.gates[3].set()
    await ticks(5)
    assert replies[3].result() == "reply to command 3"
    assert transport.exchanges[-1] == [f"command {number}" for number in range(_MOST_RUNS, _MOST_RUNS + 5)]
    for gate in transport.gates:
        gate.set()
    assert await asyncio.gather(*replies) == [f"reply to command {n}" for n in range(_MOST_RUNS + 5)]
    await batches.close()


async def test_what_never_got_a_run_ends_by_its_own_deadline():
    transport = Transport()
    batches = Batches(transport, timeout=0.2)
    late = []
    for number in range(_MOST_RUNS + 1):
        late.append(batches.submit((f"command {number}",)))
        await ticks()
    outcomes = await asyncio.gather(*late)
    assert all(isinstance(outcome, TimeoutError) for outcome in outcomes)
    await ticks(10)
    next_one = batches.submit(("next",))
    await ticks()
    assert transport.exchanges[-1] == ["next"]
    transport.gates[-1].set()
    assert await next_one == "reply to next"
    await batches.close()


async def test_closing_fails_what_waits_and_what_runs():
    transport = Transport()
    batches = Batches(transport, timeout=5.0)
    replies = []
    for number in range(_MOST_RUNS + 2):
        replies.append(batches.submit((f"command {number}",)))
        await ticks()
    await batches.close()
    assert {type(reply.result()).__name__ for reply in replies} == {"Closed"}


async def test_a_transport_that_forgets_a_reply_leaves_nobody_waiting():
    class Forgetful(Transport):
        async def exchange(self, commands, deliver):
            deliver(0, "the first")

    batches = Batches(Forgetful(), timeout=5.0)
    first, second = batches.submit(("a",)), batches.submit(("b",))
    assert await first == "the first"
    assert isinstance(await second, RuntimeError)
    await batches.close()
