"""Who holds one of a number of places, and who waits for one: the rule for one key.

This file does not know: clocks, locks, keys, floats. Times are integer microseconds.

A holder has its place until its lease ends, and may renew it before. Who waits keeps its rank in the line as
long as it asks again within its patience. A place goes to the first in line: who asks while others wait
before it is admitted only if there are places for all of them, too.
"""

from __future__ import annotations

ADMITTED = 0


class Leases:
    """The holders and the waiting line of one key, each with the time at which it ends."""

    __slots__ = ("holders", "line")

    def __init__(self) -> None:
        self.holders: dict[str, int] = {}
        self.line: dict[str, int] = {}

    def acquire(self, who: str, places: int, until: int, patient_until: int, now: int) -> int:
        """Give `who` one of `places`, or a rank in the line; return that, from 1 on, or `ADMITTED`."""
        self.expire(now)
        if who not in self.holders:
            ahead = list(self.line).index(who) if who in self.line else len(self.line)
            if len(self.holders) + ahead >= places:
                self.line[who] = patient_until
                return ahead + 1
            self.line.pop(who, None)
        self.holders[who] = until
        return ADMITTED

    def renew(self, who: str, until: int, now: int) -> bool:
        """Move the end of the lease of `who`; return whether it still had one."""
        self.expire(now)
        if who not in self.holders:
            return False
        self.holders[who] = until
        return True

    def release(self, who: str) -> None:
        """Take `who` out of the holders and of the line."""
        self.holders.pop(who, None)
        self.line.pop(who, None)

    def expire(self, now: int) -> None:
        """Take out who has come to an end."""
        for ends in (self.holders, self.line):
            for who in [who for who, end in ends.items() if end <= now]:
                del ends[who]

    def next_end(self) -> int | None:
        """Return when the first lease ends, None if there is none."""
        return min(self.holders.values(), default=None)
