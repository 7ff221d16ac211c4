"""Forks while another thread is in the middle of something."""

from __future__ import annotations

import os
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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
