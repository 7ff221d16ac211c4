"""Calls at set times, from a thread of its own."""

from __future__ import annotations

import os
import threading
from time import monotonic

import pytest

from scalekit.sqlalchemy import _alarms
from scalekit.sqlalchemy._alarms import Alarms

PATIENCE = 30


@pytest.fixture
def alarms():
    return Alarms("scalekit-test")


def test_calls_are_made_in_the_order_of_their_times(alarms):
    made, done, now = [], threading.Event(), monotonic()
    gate = threading.Event()
    alarms.set(now, lambda: gate.wait(PATIENCE))  # until all are set
    alarms.set(now + 0.02, lambda: (made.append(3), done.set()))
    alarms.set(now + 0.01, lambda: made.append(2))
    alarms.set(now - 1, lambda: made.append(1))
    gate.set()
    assert done.wait(PATIENCE)
    assert made == [1, 2, 3]


def test_a_finaliser_may_set_one_while_another_is_being_set(alarms, monkeypatch):
    """It runs in the thread that the collector finds, wherever that is at the moment."""
    made, done = [], threading.Event()
    push, finalisers = _alarms.heappush, [lambda: alarms.set(monotonic(), lambda: made.append("finaliser's"))]

    def interrupted(heap, item):
        while finalisers:
            finalisers.pop()()
        push(heap, item)

    def sets():
        alarms.set(monotonic() + 0.01, done.set)

    monkeypatch.setattr(_alarms, "heappush", interrupted)
    thread = threading.Thread(target=sets, daemon=True)
    thread.start()
    assert done.wait(PATIENCE)
    assert made == ["finaliser's"]


def test_one_that_comes_earlier_wakes_the_thread(alarms):
    done = threading.Event()
    alarms.set(monotonic() + 3_600, lambda: None)
    alarms.set(monotonic() + 0.001, done.set)
    assert done.wait(PATIENCE)


def test_what_is_cancelled_is_not_called(alarms):
    made, done = [], threading.Event()
    alarm = alarms.set(monotonic() + 0.02, lambda: made.append(1))
    alarms.set(monotonic() + 0.03, done.set)
    alarm.cancel()
    alarm.cancel()
    assert done.wait(PATIENCE)
    assert made == []


def test_to_cancel_is_to_wait_for_a_call_that_is_being_made(alarms):
    """After it a socket may be closed, and its number be somebody else's."""
    began, go_on, ended = threading.Event(), threading.Event(), []

    def call():
        began.set()
        go_on.wait(PATIENCE)
        ended.append(1)

    alarm = alarms.set(monotonic(), call)
    assert began.wait(PATIENCE)
    cancelling = threading.Thread(target=lambda: (alarm.cancel(), ended.append(2)))
    cancelling.start()
    go_on.set()
    cancelling.join(PATIENCE)
    assert ended == [1, 2]


def test_an_error_is_reported_and_the_others_are_called(alarms, monkeypatch):
    reported, done = [], threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))
    alarms.set(monotonic(), lambda: 1 / 0)
    alarms.set(monotonic(), done.set)
    assert done.wait(PATIENCE)
    assert reported == [ZeroDivisionError]


def test_the_thread_is_a_daemon_and_ends_when_nothing_is_left(alarms, monkeypatch):
    monkeypatch.setattr(_alarms, "_PATIENCE", 0.01)
    for _ in range(2):
        ran = []
        done = threading.Event()
        alarms.set(monotonic(), lambda: (ran.append(threading.current_thread()), done.set()))  # noqa: B023
        assert done.wait(PATIENCE)
        ran[0].join(PATIENCE)
        assert not ran[0].is_alive()
        assert ran[0].daemon


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own(alarms):
    alarms.set(monotonic() + 3_600, lambda: None)
    with alarms._changed:  # as if the thread held it at the fork
        child = os.fork()
        if child == 0:
            done = threading.Event()
            alarms.set(monotonic(), done.set)
            os._exit(0 if done.wait(PATIENCE) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
