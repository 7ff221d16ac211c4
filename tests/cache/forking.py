"""Forks while another thread is in the middle of something."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scalekit.cache import Cache
from tests.cache.either import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager


@contextmanager
def inside(held: AbstractContextManager[Any], before: Callable[[], object] = lambda: None) -> Generator[None]:
    """Have a thread hold `held`, in which it has called `before`, while the block runs."""
    entered, left = threading.Event(), threading.Event()

    def hold() -> None:
        with held:
            before()
            entered.set()
            left.wait(DEADLINE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(DEADLINE)
    try:
        yield
    finally:
        left.set()
        thread.join(DEADLINE)


def in_child(check: Callable[[], object]) -> None:
    """Run `check` in the child of a fork; fail if it does, or hangs."""
    child = os.fork()
    if not child:
        code = 2
        try:
            threading.Timer(DEADLINE, os._exit, [3]).start()
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, {2: "it failed in the child", 3: "it hung in the child"}.get(code, code)


def storm(forks: int = 25) -> None:
    """Fork at any instant of two threads that use a cache, and use it in the child.

    Not deterministic: a lock that nobody renews is found out most of the time.
    """
    cache, ended = Cache(), threading.Event()
    find = cache.cached(ttl=0.001, tags=["p:{x}", "all"])(lambda x: x)

    def read() -> None:
        x = 0
        while not ended.is_set():
            x = (x + 1) % 100
            find(x)

    def check() -> None:
        assert cache.get("k") is None
        assert find(7) == 7
        cache.invalidate_tags("all")

    readers = [threading.Thread(target=read) for _ in range(2)]
    sys.setswitchinterval(1e-6)
    for reader in readers:
        reader.start()
    try:
        for _ in range(forks):
            in_child(check)
    finally:
        ended.set()
    for reader in readers:
        reader.join(DEADLINE)


if __name__ == "__main__":
    storm()
