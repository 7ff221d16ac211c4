"""The circuit breaker against a model of its law, and under threads."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scalekit._breaker import Breaker

RESET = 1.0


def opened(*, failures=1, reset=RESET, at=100.0, on_change=None):
    """A breaker whose last failing call began and ended at `at`."""
    breaker = Breaker("redis", failures=failures, reset=reset, on_change=on_change)
    for _ in range(failures):
        breaker.failed(breaker.admit(at), at, at)
    assert breaker.state == "open"
    return breaker


# -- against a model --------------------------------------------------------------------------------


class Model:
    """The law: which calls still have a say, how many failed in a row, and when the next probe is due."""

    def __init__(self, failures, reset, patience):
        self.limit, self.reset, self.patience = failures, reset, patience
        self.heard, self.failures, self.due, self.lost = set(), 0, None, 0.0

    def admit(self, call, now):
        if self.due is not None:
            if now < (self.lost if self.heard else self.due):
                return False
            self.lost = now + self.patience
        self.heard.add(call)
        return True

    def end(self, call, outcome, began, now):
        if call not in self.heard:
            return
        if outcome == "abandoned":
            self.heard = self.heard - {call} if self.due is None else set()
        elif outcome == "succeeded":
            self.failures, self.due = 0, None
        else:
            self.failures += 1
            if self.due is not None or self.failures >= self.limit:
                self.due, self.heard = max(began + self.reset, now + self.reset / 2), set()

    @property
    def state(self):
        return "closed" if self.due is None else "half-open" if self.heard else "open"


class Calls(RuleBasedStateMachine):
    """Calls begin, take their time, and end in any order and way."""

    @initialize(
        failures=st.integers(1, 3),
        reset=st.sampled_from([0.5, 1.0, 4.0]),
        patience=st.sampled_from([None, 0.25, 2.0]),
    )
    def start(self, failures, reset, patience):
        self.changes = []
        self.breaker = Breaker(
            "redis",
            failures=failures,
            reset=reset,
            patience=patience,
            on_change=lambda state, failures: self.changes.append((state, failures)),
        )
        self.model = Model(failures, reset, 10 * reset if patience is None else patience)
        self.now, self.reset, self.last, self.under_way = 1_000.0, reset, "closed", []
        self.expected = []

    @rule(parts=st.integers(1, 5))
    def time_passes(self, parts):
        self.now += parts * self.reset / 4

    @rule(almost=st.booleans())
    def time_comes(self, almost):
        """Go to the very moment of the next probe, or just short of it."""
        moment = (self.model.lost if self.model.heard else self.model.due) or 0.0
        self.now = max(self.now, math.nextafter(moment, 0.0) if almost and moment else moment)

    @rule(calls=st.integers(1, 3))
    def begin(self, calls):
        for _ in range(calls):
            call = object()
            wanted = self.model.admit(call, self.now)
            generation = self.breaker.admit(self.now)
            assert (generation is not None) == wanted
            if wanted:
                self.under_way.append((call, generation, self.now))
            if wanted and self.model.due is not None:
                self.expected.append(("half-open", self.model.failures))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(["succeeded", "failed", "failed", "abandoned"]))
    def end(self, data, outcome):
        call, generation, began = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before = self.model.state
        self.model.end(call, outcome, began, self.now)
        after = self.model.state
        if outcome == "failed":
            self.breaker.failed(generation, began, self.now)
        else:
            getattr(self.breaker, outcome)(generation)
        if after != before and outcome != "abandoned":
            self.expected.append((after, self.model.failures))

    @invariant()
    def agrees(self):
        assert self.breaker.state == self.model.state
        due = self.model.due
        assert self.breaker.retry_in(self.now) == (0.0 if due is None else max(0.0, due - self.now))

    @invariant()
    def reports_every_change_and_nothing_else(self):
        assert self.changes == self.expected


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# -- when a probe is due ----------------------------------------------------------------------------


def test_it_opens_after_as_many_failures_in_a_row_as_it_was_told():
    breaker = Breaker("redis", failures=3, reset=RESET)
    for outcome in ("failed", "failed", "ok", "failed", "failed"):
        generation = breaker.admit(100.0)
        breaker.succeeded(generation) if outcome == "ok" else breaker.failed(generation, 100.0, 100.0)
        assert breaker.state == "closed"
    breaker.failed(breaker.admit(100.0), 100.0, 100.0)
    assert breaker.state == "open"
    assert breaker.admit(100.0) is None


@pytest.mark.parametrize(
    ("took", "due"),
    [
        (0.0, 1.0),  # `reset` from the attempt's beginning
        (0.0625, 1.0),
        (0.5, 1.0),
        (0.75, 1.25),  # half of it at least after the attempt's end
        (3.0, 3.5),
    ],
)
def test_service_resumes_within_reset_of_the_failing_attempts_beginning(took, due):
    breaker = Breaker("redis", failures=1, reset=RESET)
    breaker.failed(breaker.admit(100.0), 100.0, 100.0 + took)
    assert breaker.retry_in(100.0 + took) == due - took
    assert breaker.admit(math.nextafter(100.0 + due, 0.0)) is None
    assert breaker.admit(100.0 + due) is not None


def test_a_failed_probe_waits_as_long_again():
    breaker = opened(at=100.0)
    breaker.failed(breaker.admit(101.0), 101.0, 101.25)
    assert breaker.admit(101.75) is None
    assert breaker.retry_in(101.75) == 0.25
    assert breaker.retry_in(200.0) == 0.0
    assert breaker.admit(102.0) is not None


def test_one_good_probe_restores_service_and_all_failures_are_forgiven():
    breaker = opened(failures=3)
    breaker.succeeded(breaker.admit(101.0))
    assert breaker.retry_in(101.0) == 0.0
    for _ in range(2):
        breaker.failed(breaker.admit(101.0), 101.0, 101.0)
        assert breaker.state == "closed"


# -- who has a say ----------------------------------------------------------------------------------


def test_late_failures_from_before_do_not_reopen_it():
    breaker = Breaker("redis", failures=1, reset=RESET)
    late = [breaker.admit(100.0) for _ in range(5)]
    breaker.failed(late.pop(), 100.0, 100.0)
    breaker.failed(late.pop(), 100.0, 100.5)
    assert breaker.retry_in(100.5) == 0.5, "a late failure put the probe off"
    probe = breaker.admit(101.0)
    breaker.failed(late.pop(), 100.0, 101.0)
    assert breaker.state == "half-open"
    breaker.succeeded(probe)
    breaker.failed(late.pop(), 100.0, 101.0)
    assert breaker.state == "closed"


def test_late_successes_from_before_do_not_close_it():
    breaker = Breaker("redis", failures=1, reset=RESET)
    late = [breaker.admit(100.0) for _ in range(3)]
    breaker.failed(late.pop(), 100.0, 100.0)
    breaker.succeeded(late.pop())
    assert breaker.state == "open"
    probe = breaker.admit(101.0)
    breaker.succeeded(late.pop())
    assert breaker.state == "half-open"
    breaker.failed(probe, 101.0, 101.0)
    assert breaker.state == "open"


def test_late_cancellations_from_before_do_not_free_the_probes_slot():
    breaker = Breaker("redis", failures=1, reset=RESET)
    late, failing = breaker.admit(100.0), breaker.admit(100.0)
    breaker.failed(failing, 100.0, 100.0)
    breaker.abandoned(late)
    assert breaker.admit(101.0) is not None
    breaker.abandoned(late)
    assert breaker.admit(101.0) is None


def test_an_abandoned_probe_makes_room_for_the_next_at_once():
    changes = []
    breaker = opened(on_change=lambda state, failures: changes.append(state))
    first = breaker.admit(101.0)
    breaker.abandoned(first)
    assert breaker.state == "open"
    second = breaker.admit(101.0)
    assert second is not None
    breaker.failed(first, 101.0, 101.0)
    breaker.succeeded(first)
    assert breaker.state == "half-open", "the abandoned probe had a say"
    breaker.succeeded(second)
    assert changes == ["open", "half-open", "half-open", "closed"]


def test_a_probe_that_never_reports_is_replaced():
    breaker = opened(at=100.0)
    assert breaker.admit(101.0) is not None
    assert breaker.admit(math.nextafter(111.0, 0.0)) is None
    assert breaker.retry_in(105.0) == 0.0
    second = breaker.admit(111.0)
    assert second is not None
    assert breaker.admit(111.0) is None
    breaker.succeeded(second)
    assert breaker.state == "closed"


def test_a_probe_that_only_took_long_has_its_say():
    """Otherwise a server that answers slower than `patience` would never be let in again."""
    for outcome, state in (("succeeded", "closed"), ("failed", "open")):
        breaker = Breaker("redis", failures=1, reset=RESET, patience=5.0)
        breaker.failed(breaker.admit(100.0), 100.0, 100.0)
        slow = breaker.admit(101.0)
        assert breaker.admit(106.0) is not None
        breaker.succeeded(slow) if outcome == "succeeded" else breaker.failed(slow, 101.0, 107.0)
        assert breaker.state == state


def test_the_outcome_of_an_abandoned_probe_counts_no_more():
    breaker = opened()
    probe = breaker.admit(101.0)
    breaker.abandoned(probe)
    breaker.succeeded(probe)
    assert breaker.state == "open"
    breaker.failed(probe, 101.0, 101.0)
    assert breaker.retry_in(101.0) == 0.0, "it put off the next probe"


def test_every_change_is_told_with_the_failures_in_a_row():
    changes = []
    breaker = opened(failures=2, on_change=lambda *change: changes.append(change))
    breaker.admit(100.5)
    breaker.failed(breaker.admit(101.0), 101.0, 101.0)
    breaker.succeeded(breaker.admit(102.0))
    breaker.succeeded(breaker.admit(102.0))
    assert changes == [("open", 2), ("half-open", 2), ("open", 3), ("half-open", 3), ("closed", 0)]


def test_a_hook_may_ask_the_breaker():
    """It is called without the lock."""
    answers = []
    breaker = Breaker(
        "redis",
        failures=1,
        reset=RESET,
        on_change=lambda *_: answers.append((breaker.state, breaker.admit(0.0))),
    )
    breaker.failed(breaker.admit(100.0), 100.0, 100.0)
    breaker.succeeded(breaker.admit(101.0))
    assert [state for state, _ in answers] == ["open", "half-open", "closed"]
    assert [generation is None for _, generation in answers] == [True, True, False]


def test_a_caller_that_waited_while_the_probe_closed_it_gets_in():
    breaker = opened()
    probe, lock = breaker.admit(101.0), breaker._lock

    class ClosedMeanwhile:
        """Stands in for the lock that another thread, the probe's, had at that moment."""

        def __enter__(self):
            breaker._lock = lock
            breaker.succeeded(probe)
            return lock.__enter__()

        def __exit__(self, *error):
            return lock.__exit__(*error)

    breaker._lock = ClosedMeanwhile()
    generation = breaker.admit(101.0)
    breaker.failed(generation, 101.0, 101.0)
    assert breaker.state == "open", "its outcome does not count"


# -- what the log says ------------------------------------------------------------------------------


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(caplog):
    caplog.set_level(logging.DEBUG)
    breaker = Breaker("redis", failures=2, reset=RESET)
    for now in (100.0, 100.0, 101.0, 102.0):  # the last two are probes
        breaker.failed(breaker.admit(now), now, now, "no answer\n  within 50 ms")
    [record] = caplog.records
    assert (record.name, record.levelno) == ("scalekit", logging.WARNING)
    assert record.getMessage() == (
        "redis failed 2 times in a row: the circuit breaker is open, one call every 1 s tries again"
        " (no answer within 50 ms)"
    )
    caplog.clear()
    breaker.succeeded(breaker.admit(103.0))
    breaker.succeeded(breaker.admit(103.0))
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        ("scalekit", logging.INFO, "redis answers again: the circuit breaker is closed")
    ]


def test_failures_short_of_an_outage_are_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    breaker = Breaker("redis", failures=2, reset=RESET)
    breaker.failed(breaker.admit(100.0), 100.0, 100.0)
    breaker.succeeded(breaker.admit(100.0))
    assert not caplog.records


def test_a_server_that_answers_costs_no_logging():
    code = (
        "import sys; from scalekit._breaker import Breaker;"
        "breaker = Breaker('redis', failures=2, reset=1.0);"
        "breaker.failed(breaker.admit(0.0), 0.0, 0.0); breaker.succeeded(breaker.admit(0.0));"
        "assert 'logging' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=10)


# -- under threads ----------------------------------------------------------------------------------


@pytest.fixture
def busy_switching():
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(count, work, turns):
    """Call `work(turn)` in so many threads, all of them at the same moment in each turn."""
    barrier = threading.Barrier(count, timeout=30)
    errors = []

    def run():
        try:
            for turn in range(turns):
                barrier.wait()
                work(turn)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors


@pytest.mark.usefixtures("busy_switching")
def test_exactly_one_of_64_threads_probes():
    turns = 20
    changes = []
    breakers = [opened(on_change=lambda state, _: changes.append(state)) for _ in range(turns)]
    admitted = [[] for _ in range(turns)]
    in_threads(64, lambda turn: admitted[turn].append(breakers[turn].admit(101.0)), turns)
    assert [len([ticket for ticket in tickets if ticket is not None]) for tickets in admitted] == [1] * turns
    assert [len(tickets) for tickets in admitted] == [64] * turns
    assert changes == ["open"] * turns + ["half-open"] * turns


@pytest.mark.usefixtures("busy_switching")
def test_threads_that_fail_together_open_it_once():
    turns = 20
    changes = []
    breakers = [
        Breaker("redis", failures=16, reset=RESET, on_change=lambda *change: changes.append(change))
        for _ in range(turns)
    ]
    tickets = [breaker.admit(100.0) for breaker in breakers]
    in_threads(16, lambda turn: breakers[turn].failed(tickets[turn], 100.0, 100.0), turns)
    assert changes == [("open", 16)] * turns, "a failure was lost, or counted twice"


def test_threads_that_fail_together_open_it_once_wherever_they_meet():
    class Yielding(int):
        """A number that gives way to another thread whenever it is compared."""

        __slots__ = ()

        def __le__(self, other):
            time.sleep(0)
            return int(self) <= other

    turns = 10
    changes = []
    breakers = [
        Breaker("redis", failures=Yielding(1), reset=RESET, on_change=lambda *change: changes.append(change))
        for _ in range(turns)
    ]
    in_threads(8, lambda turn: breakers[turn].failed(0, 100.0, 100.0), turns)
    assert changes == [("open", 1)] * turns


@pytest.mark.usefixtures("busy_switching")
def test_threads_that_come_while_it_closes_get_in():
    """The probe's success and the next callers race: all of them are admitted or refused, none is lost."""
    turns = 20
    breakers = [opened() for _ in range(turns)]
    probes = [breaker.admit(101.0) for breaker in breakers]

    def work(turn):
        breakers[turn].succeeded(probes[turn])
        generation = breakers[turn].admit(101.0)
        assert generation is not None
        breakers[turn].succeeded(generation)

    in_threads(16, work, turns)
    assert {breaker.state for breaker in breakers} == {"closed"}


def test_a_lock_that_is_held_at_a_fork_is_free_in_the_child():
    script = """
import os, threading
from scalekit._breaker import Breaker
breaker = Breaker("redis", failures=1, reset=1.0)
breaker.failed(breaker.admit(0.0), 0.0, 0.0)
held, left = threading.Event(), threading.Event()
def hold():
    with breaker._lock:
        held.set()
        left.wait(10)
threading.Thread(target=hold).start()
held.wait(10)
child = os.fork()
if child == 0:
    os._exit(0 if breaker.admit(0.5) is None and breaker.admit(2.0) is not None else 1)
assert os.waitpid(child, 0)[1] == 0
left.set()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=10)


def test_a_finaliser_may_come_in_under_the_lock():
    breaker, answers = Breaker("redis", failures=1, reset=1.0), []
    breaker.failed(breaker.admit(0.0), 0.0, 0.0)

    def finalise():
        with breaker._lock:
            answers.append(breaker.admit(0.5))

    thread = threading.Thread(target=finalise, daemon=True)
    thread.start()
    thread.join(10)
    assert answers == [None]
