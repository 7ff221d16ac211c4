"""Events, the hooks that listen to them, and what becomes of a hook that fails."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from scalekit import events
from scalekit.cache import AsyncCache, Cache
from scalekit.errors import ConfigurationError
from scalekit.events import Counters, Event, LinkEvent, fan_out, guarded, log_to
from scalekit.ratelimit import AsyncRateLimiter, RateLimiter


async def coroutine_function(event): ...


class AsyncHook:
    async def __call__(self, event): ...


@pytest.mark.parametrize(
    "hook",
    [coroutine_function, partial(coroutine_function), AsyncHook(), AsyncHook().__call__],
    ids=["function", "partial", "object", "method"],
)
def test_a_hook_that_nobody_would_await_is_refused(hook):
    for face in (Cache, AsyncCache, partial(RateLimiter, "2/m"), partial(AsyncRateLimiter, "2/m")):
        with pytest.raises(ConfigurationError, match="expected on_event as a plain function"):
            face(on_event=hook)
    with pytest.raises(ConfigurationError, match="expected hooks as a plain function"):
        fan_out(print, hook)


class Loaded(Event):
    """An event as a block defines it."""

    __slots__ = ("attempts", "tags")

    def __init__(self, name, *, attempts, tags=(), **fields):
        super().__init__("cache", name, **fields)
        self.attempts = attempts
        self.tags = tags


class Broken:
    """A hook that always raises, and knows what it saw."""

    def __init__(self, error=None):
        self.error = error or RuntimeError("the sink is full")
        self.seen = []

    def __call__(self, event):
        self.seen.append(event)
        raise self.error


def in_threads(threads, work):
    """Call `work` in so many threads at the same moment."""
    barrier = threading.Barrier(threads, timeout=30)

    def run():
        barrier.wait()
        return work()

    with ThreadPoolExecutor(threads) as pool:
        return [future.result(30) for future in [pool.submit(run) for _ in range(threads)]]


@pytest.fixture
def busy_switching():
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


# -- events -----------------------------------------------------------------------------------------


def test_an_event_says_what_was_done_and_how_it_ended():
    event = Event("cache", "load")
    assert event.fields() == {"block": "cache", "key": None, "name": "load", "outcome": "ok", "seconds": None}
    event = Event("cache", "load", outcome="error", key="k", seconds=0.25)
    assert (event.block, event.name, event.outcome, event.key, event.seconds) == (
        "cache",
        "load",
        "error",
        "k",
        0.25,
    )


def test_the_fields_of_a_subclass_come_after_those_of_the_base():
    fields = Loaded("load", attempts=2, key="k").fields()
    assert list(fields) == ["block", "key", "name", "outcome", "seconds", "attempts", "tags"]
    assert (fields["attempts"], fields["tags"], fields["key"]) == (2, (), "k")


def test_events_are_slots_only():
    for event in (
        Event("a", "b"),
        Loaded("a", attempts=1),
        LinkEvent("a", outcome="open", backend="b", failures=1),
    ):
        assert not hasattr(event, "__dict__")
        with pytest.raises(AttributeError):
            event.colour = "red"


def test_a_link_event_names_the_backend():
    event = LinkEvent("breaker", outcome="half-open", backend="redis", failures=3)
    assert event.fields() == {
        "block": "link",
        "key": None,
        "name": "breaker",
        "outcome": "half-open",
        "seconds": None,
        "backend": "redis",
        "failures": 3,
    }


def test_repr_shows_what_is_set():
    assert repr(Event("cache", "load")) == "<Event block='cache' name='load' outcome='ok'>"
    assert repr(Loaded("load", attempts=0, key="a\nb", seconds=0.0)) == (
        "<Loaded block='cache' key='a\\nb' name='load' outcome='ok' seconds=0.0 attempts=0 tags=()>"
    )


# -- guarded hooks ----------------------------------------------------------------------------------


def test_no_hook_is_no_emitter():
    assert guarded(None) is None


def test_a_hook_gets_the_very_event():
    seen = []
    event = Event("cache", "load")
    assert guarded(seen.append)(event) is None
    assert seen == [event]


def test_a_hook_that_raises_is_reported_once_and_asked_again(caplog):
    hook = Broken()
    emit = guarded(hook)
    for number in range(5):
        assert emit(Event("cache", f"load-{number}")) is None
    assert [event.name for event in hook.seen] == [f"load-{number}" for number in range(5)]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("scalekit.events", logging.ERROR)
    assert record.exc_info[1] is hook.error
    assert repr(hook) in record.getMessage()
    assert "load-0" in record.getMessage()


def test_each_hook_has_its_own_report(caplog):
    for hook in (Broken(), Broken()):
        guarded(hook)(Event("cache", "load"))
    assert len(caplog.records) == 2


@pytest.mark.usefixtures("busy_switching")
def test_threads_report_a_broken_hook_once(caplog):
    for _ in range(20):
        caplog.clear()
        emit = guarded(Broken())
        in_threads(8, lambda: emit(Event("cache", "load")))  # noqa: B023  # runs within this turn
        assert len(caplog.records) == 1


def test_an_interrupt_is_no_failure_of_the_hook(caplog):
    with pytest.raises(KeyboardInterrupt):
        guarded(Broken(KeyboardInterrupt()))(Event("cache", "load"))
    assert not caplog.records


def test_a_hook_that_works_costs_no_logging():
    import subprocess

    code = (
        "import sys; from scalekit.events import Counters, Event, fan_out, guarded;"
        "guarded(fan_out(Counters()))(Event('a', 'b')); assert 'logging' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=True,
        env={"PYTHONPATH": re.sub(r"/scalekit/events\.py$", "", events.__file__)},
    )


# -- several hooks ----------------------------------------------------------------------------------


def test_fan_out_calls_every_hook_in_order():
    seen = []
    event = Event("cache", "load")
    hook = fan_out(lambda event: seen.append((1, event)), lambda event: seen.append((2, event)))
    assert hook(event) is None
    assert seen == [(1, event), (2, event)]
    fan_out()(event)


def test_one_broken_hook_keeps_none_of_the_others_from_running(caplog):
    first, last, counters = Broken(), Broken(), Counters()
    hook = fan_out(first, counters, last)
    for _ in range(3):
        hook(Event("cache", "load"))
    assert counters.counts() == {("cache", "load", "ok"): 3}
    assert len(first.seen) == len(last.seen) == 3
    assert [record.exc_info[1] for record in caplog.records] == [first.error, last.error]


@pytest.mark.parametrize("hook", [None, "print", Counters.counts(Counters())])
def test_fan_out_takes_callables(hook):
    with pytest.raises(ConfigurationError, match=r"^expected hooks as callables of one event; got "):
        fan_out(print, hook)


# -- log_to -----------------------------------------------------------------------------------------


@pytest.fixture
def logger(caplog):
    logger = logging.getLogger("tests.events")
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(logging.NOTSET)


def test_log_to_writes_one_line_at_info(logger, caplog):
    event = Loaded("load", attempts=2, key="shop:find('é', 1)")
    log_to(logger)(event)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("tests.events", logging.INFO)
    assert record.getMessage() == "cache.load ok shop:find('é', 1)"
    assert record.scalekit == event.fields()


class Failed(Event):
    """An event that has its error."""

    __slots__ = ("error",)

    def __init__(self, error, key=None):
        super().__init__("cache", "store", outcome="error", key=key)
        self.error = error


@pytest.mark.parametrize(
    ("level", "written"),
    [(logging.DEBUG, logging.WARNING), (logging.INFO, logging.WARNING), (logging.ERROR, logging.ERROR)],
)
@pytest.mark.parametrize("outcome", ["error", "open"])
def test_what_went_wrong_is_a_warning_at_least(logger, caplog, outcome, level, written):
    log_to(logger, level=level)(Event("link", "breaker", outcome=outcome))
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (written, f"link.breaker {outcome}")


def test_what_went_wrong_is_written_where_only_warnings_are(logger, caplog):
    logger.setLevel(logging.WARNING)
    for outcome in ("ok", "error"):
        log_to(logger)(Event("cache", "load", outcome=outcome))
    assert [record.getMessage() for record in caplog.records] == ["cache.load error"]


def test_the_line_has_the_text_of_the_error_if_there_is_one(logger, caplog):
    log_to(logger)(Failed(OSError("gone\n  for 100% good")))
    log_to(logger)(Failed(OSError("gone"), "user:7"))
    log_to(logger)(Failed(None))
    assert [record.getMessage() for record in caplog.records] == [
        "cache.store error: OSError: gone for 100% good",
        "cache.store error user:7: OSError: gone",
        "cache.store error",
    ]


@pytest.mark.parametrize("key", ["a\nb", "a\u2028b", "a\x1b[2Jb", "\ud800"])
def test_a_key_does_not_end_the_line(logger, caplog, key):
    log_to(logger)(Event("ratelimit", "hit", key=key))
    [record] = caplog.records
    assert record.getMessage() == f"ratelimit.hit ok {key!r}"
    assert record.scalekit["key"] == key


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
def test_log_to_writes_at_the_level_asked_for(logger, caplog, level):
    log_to(logger, level=level)(Event("cache", "load"))
    assert [record.levelno for record in caplog.records] == [level]


@pytest.mark.parametrize("level", ["INFO", None, 20.0, True])
def test_a_level_is_an_integer(logger, level):
    with pytest.raises(
        ConfigurationError, match=r"^expected level as an integer, such as logging.INFO; got "
    ):
        log_to(logger, level=level)


@pytest.mark.parametrize("name", ["shop", None, logging, logging.Logger])
def test_a_logger_is_a_logger(name):
    with pytest.raises(ConfigurationError, match=r"^expected logger as a logger, such as logging.getLogger"):
        log_to(name)


def test_an_adapter_is_a_logger_too(logger, caplog):
    log_to(logging.LoggerAdapter(logger))(Event("cache", "load"))
    assert [record.getMessage() for record in caplog.records] == ["cache.load ok"]


def test_log_to_builds_nothing_for_a_level_that_is_off(logger, caplog, monkeypatch):
    logger.setLevel(logging.WARNING)
    monkeypatch.setattr(Event, "fields", lambda _: pytest.fail("built for nobody"))
    log_to(logger)(Event("cache", "load"))
    assert not caplog.records


# -- counters ---------------------------------------------------------------------------------------


def test_counters_count_by_block_name_and_outcome():
    counters = Counters()
    for event in (
        Event("cache", "load", key="a"),
        Event("cache", "load", key="b", seconds=0.25),
        Event("cache", "load", outcome="error", seconds=0.5),
        Event("cache", "load", outcome="error", seconds=0.0),
        Event("ratelimit", "load", seconds=1.0),
        Event("cache", "hit"),
        Event("cache", "miss", seconds=0.0),
    ):
        assert counters(event) is None
    assert counters.counts() == {
        ("cache", "load", "ok"): 2,
        ("cache", "load", "error"): 2,
        ("ratelimit", "load", "ok"): 1,
        ("cache", "hit", "ok"): 1,
        ("cache", "miss", "ok"): 1,
    }
    assert counters.seconds() == {
        ("cache", "load", "ok"): 0.25,
        ("cache", "load", "error"): 0.5,
        ("ratelimit", "load", "ok"): 1.0,
        ("cache", "miss", "ok"): 0.0,
    }


def test_counters_hand_out_copies():
    counters = Counters()
    counters(Event("cache", "load", seconds=1.0))
    for read in (counters.counts, counters.seconds):
        read().clear()
        assert len(read()) == 1
        before = read()
        counters(Event("cache", "load", seconds=1.0))
        assert before[("cache", "load", "ok")] < read()[("cache", "load", "ok")]


def test_counters_lose_nothing_under_eight_threads():
    class Yielding(str):
        """A label that gives way to another thread whenever it is looked up."""

        __slots__ = ()

        def __hash__(self):
            time.sleep(0)
            return str.__hash__(self)

    counters = Counters()

    def count():
        for number in range(50):
            counters(Event("cache", "load", outcome=Yielding("ok"), seconds=0.5))
            if number % 10 == 0:
                counters.counts()
                counters.seconds()

    in_threads(8, count)
    assert counters.counts() == {("cache", "load", "ok"): 400}
    assert counters.seconds() == {("cache", "load", "ok"): 200.0}


def test_counters_are_a_hook():
    counters = Counters()
    guarded(counters)(Event("cache", "load"))
    assert counters.counts() == {("cache", "load", "ok"): 1}


def test_a_class_is_no_hook():
    for make in (lambda: Cache(on_event=Counters), lambda: fan_out(Counters)):
        with pytest.raises(ConfigurationError, match="not its class: Counters"):
            make()
