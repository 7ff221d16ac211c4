"""One kind of process in the fleet, and how many of it there are."""

from __future__ import annotations

from dataclasses import dataclass

from scalekit.errors import ConfigurationError
from scalekit.pools._numbers import amount, count


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A kind of process ("web", "worker") of which every one holds a pool of its own.

    `instances` machines or containers run `processes` each; a rolling deploy runs `surge` instances
    more for a while. `threads` is how many tasks of one process can hold connections at the same
    time: the worker threads of a sync server, None where nothing bounds them (async).
    `weight` is the role's share of the load and of spare connections, relative to the other roles;
    0, which needs a `size`, for one that brings no part of the load, such as a cron job.
    `nested` is how many connections one task holds at once (2 when it opens a second session while
    the first is still checked out); above 1 it needs `threads`. `size` fixes the size of each
    process's pool instead of planning it; such a role still carries its `weight` of the load.

    Raises `ConfigurationError` for numbers that cannot be, and for a `size` at which nested
    checkouts can wait for each other for ever.
    """

    instances: int = 1
    processes: int = 1
    threads: int | None = None
    weight: float = 1.0
    surge: int = 0
    nested: int = 1
    size: int | None = None

    def __post_init__(self) -> None:
        count(self.instances, "instances")
        count(self.processes, "processes")
        count(self.surge, "surge", least=0)
        count(self.nested, "nested")
        amount(self.weight, "weight", allow_zero=self.size is not None)
        if self.threads is not None:
            count(self.threads, "threads")
        elif self.nested > 1:
            raise ConfigurationError(
                "threads", None, "as an integer >= 1 when nested > 1: the rule against deadlock needs it"
            )
        if self.size is not None and count(self.size, "size") < self.least:
            raise ConfigurationError(
                "size",
                self.size,
                f">= {self.least}: {self.threads} tasks of {self.nested} connections each can deadlock",
            )

    @property
    def steady_processes(self) -> int:
        """Processes between deploys: the load is shared by these."""
        return self.instances * self.processes

    @property
    def most_processes(self) -> int:
        """Processes during a rolling deploy: the server must have room for the pools of these."""
        return (self.instances + self.surge) * self.processes

    @property
    def least(self) -> int:
        """The smallest pool that cannot deadlock: T * (C - 1) + 1 for T tasks of C connections each.

        With every task holding C - 1 connections there must be one left that lets one of them finish
        (HikariCP wiki, "About Pool Sizing", section "Pool-locking").
        """
        return 1 if self.threads is None else self.threads * (self.nested - 1) + 1

    @property
    def most(self) -> int | None:
        """The largest pool that can ever be in use: T * C; None where tasks are unbounded."""
        return None if self.threads is None else self.threads * self.nested
