"""What a session makes of what it hears, without a server: proofs, patience, epochs, channels."""

from __future__ import annotations

import gc
import threading

import pytest

from scalekit.redis._audience import Audience, Bell
from scalekit.redis._session import NEVER, Broken, Session

E, T = b"sk:e", b"sk:t"
HELLO = b"%1\r\n+proto\r\n:3\r\n"
OPENED = HELLO + b"+OK\r\n"
PROBED = b":0\r\n"
ABSENT = b""


class Watcher:
    def __init__(self, *prefixes, interval=0.25):
        self.prefixes = frozenset(prefixes or (E, T))
        self.interval = interval
        self.heard = []

    def begun(self, session):
        self.heard.append("begun")

    def changed(self, names):
        self.heard.append(names)

    def proven(self, session, at):
        self.heard.append(at)

    def lost(self, session):
        self.heard.append("lost")

    def forked(self):
        self.heard.append("forked")


def push(*items):
    return b">%d\r\n" % len(items) + b"".join(b"$%d\r\n%b\r\n" % (len(item), item) for item in items)


def invalidated(*names):
    return b">2\r\n$10\r\ninvalidate\r\n*%d\r\n" % len(names) + b"".join(
        b"$%d\r\n%b\r\n" % (len(name), name) for name in names
    )


def info(**changed):
    fields = {
        "cluster_state": "ok",
        "cluster_known_nodes": 3,
        "cluster_current_epoch": 7,
        "cluster_my_epoch": 1,
        "cluster_stats_messages_sent": 9,
    } | changed
    text = "".join(f"{name}:{value}\r\n" for name, value in fields.items()).encode()
    return b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text)


@pytest.fixture
def audience():
    return Audience()


@pytest.fixture
def watcher(audience):
    watcher = Watcher()
    audience.join(watcher)
    return watcher


def opened(audience, now=100.0, *, masters=1, in_cluster=False):
    session = Session(audience, masters=masters, in_cluster=in_cluster)
    session.sent = [session.opening(number, now) for number in range(masters)]
    return session


def outgoing(session, now):
    return [data for _, data in session.outgoing(now)]


def test_it_opens_with_tracking_and_a_probe(audience, watcher):
    session = opened(audience)
    assert session.sent == [
        (
            b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
            b"*8\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n$5\r\nBCAST\r\n"
            b"$6\r\nPREFIX\r\n$4\r\nsk:e\r\n$6\r\nPREFIX\r\n$4\r\nsk:t\r\n"
            b"*2\r\n$6\r\nUNLINK\r\n$4\r\nsk:e\r\n"
        )
    ]
    assert session.proven == NEVER


def test_without_watchers_it_tracks_nothing_and_pings(audience):
    session = opened(audience)
    assert session.sent == [b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*1\r\n$4\r\nPING\r\n"]
    session.heard(0, HELLO + b"+PONG\r\n")
    assert session.proven == 100.0


def test_it_has_begun_when_the_probe_is_answered_and_proves_the_instant_of_sending(audience, watcher):
    session = opened(audience, 100.0)
    session.heard(0, OPENED)
    assert watcher.heard == []
    session.heard(0, PROBED)
    assert watcher.heard == ["begun", 100.0]
    assert outgoing(session, 100.2) == []
    [probe] = outgoing(session, 100.25)
    assert probe.endswith(b"UNLINK\r\n$4\r\nsk:e\r\n")
    assert outgoing(session, 100.6) == [], "one probe at a time: what it proves must be known"
    session.heard(0, invalidated(b"sk:t:a"))
    assert watcher.heard[-1] == [b"sk:t:a"]
    assert session.proven == 100.0, "an announcement does not prove that the next is not missing"
    session.heard(0, PROBED)
    assert watcher.heard[-1] == session.proven == 100.25


def test_announcements_are_passed_on_in_order(audience, watcher):
    session = opened(audience)
    session.heard(0, OPENED + PROBED)
    watcher.heard.clear()
    outgoing(session, 101.0)
    watcher.heard.clear()
    session.heard(0, invalidated(b"sk:e:1", b"sk:t:2") + b">2\r\n$10\r\ninvalidate\r\n_\r\n" + PROBED)
    assert watcher.heard == [[b"sk:e:1", b"sk:t:2"], None, 101.0]


def test_silence_is_borne_for_a_while(audience, watcher):
    session = opened(audience, 100.0)
    assert session.pause(100.5) == 1.5
    session.check(101.9)
    with pytest.raises(Broken, match="no answer"):
        session.check(102.0)
    session.heard(0, OPENED + PROBED)  # it was late, not lost
    session.check(102.0)
    assert session.pause(100.1) == pytest.approx(0.15)
    assert session.pause(103.0) == 0.0


@pytest.mark.parametrize(
    "refusal", [b"-READONLY replica\r\n", b"-MOVED 1 h:1\r\n", b"-LOADING\r\n", b"-NOAUTH\r\n"]
)
def test_a_refused_probe_ends_it(audience, watcher, refusal):
    session = opened(audience)
    session.heard(0, OPENED)
    with pytest.raises(Broken):
        session.heard(0, refusal)
    session.end()
    assert watcher.heard == ["lost"]


def test_refused_tracking_ends_it_before_anything_is_proven(audience, watcher):
    session = opened(audience)
    with pytest.raises(Broken, match="unknown subcommand"):
        session.heard(0, HELLO + b"-ERR unknown subcommand\r\n" + PROBED)
    assert watcher.heard == []


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 400\r\n", OPENED + PROBED + b":0\r\n", push(b"subscribe", b"c", b"1")]
)
def test_nonsense_ends_it(audience, watcher, data):
    with pytest.raises(Broken):
        opened(audience).heard(0, data)


# -- several masters --------------------------------------------------------------------------------


def test_of_several_masters_the_one_proven_least_counts(audience, watcher):
    session = opened(audience, masters=2, in_cluster=True)
    assert all(data.endswith(b"*2\r\n$7\r\nCLUSTER\r\n$4\r\nINFO\r\n") for data in session.sent)
    session.heard(0, OPENED + info())
    assert watcher.heard == []
    session.heard(1, OPENED + info(cluster_my_epoch=2))
    assert watcher.heard == ["begun", 100.0]
    outgoing(session, 101.0)
    session.heard(0, info())
    assert session.proven == 100.0
    session.heard(1, info(cluster_my_epoch=2, cluster_stats_messages_sent=10))
    assert session.proven == 101.0
    outgoing(session, 102.0)
    session.heard(0, info())
    with pytest.raises(Broken, match="no answer"):
        session.check(104.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"cluster_state": "fail"},
        {"cluster_known_nodes": 4},
        {"cluster_current_epoch": 8},
        {"cluster_my_epoch": 8},
    ],
)
def test_a_change_of_the_cluster_ends_it(audience, watcher, changed):
    session = opened(audience, in_cluster=True)
    session.heard(0, OPENED + info())
    outgoing(session, 101.0)
    with pytest.raises(Broken, match="the cluster"):
        session.heard(0, info(**changed))
    assert session.proven == 100.0


def test_masters_that_do_not_agree_on_the_epoch_end_it(audience, watcher):
    session = opened(audience, masters=2, in_cluster=True)
    session.heard(0, OPENED + info())
    with pytest.raises(Broken, match="the cluster has changed"):
        session.heard(1, OPENED + info(cluster_current_epoch=8))
    assert watcher.heard == []


# -- those who listen -------------------------------------------------------------------------------


def test_who_joins_later_hears_at_once(audience, watcher):
    session = opened(audience)
    session.heard(0, OPENED + PROBED)
    late = Watcher(interval=0.1)
    audience.join(late)
    assert session.suits()
    assert outgoing(session, 100.05) == []
    assert late.heard == ["begun", 100.0]
    assert len(outgoing(session, 100.1)) == 1, "the most frequent proof that anybody wants"


def test_who_wants_to_hear_more_needs_another_session(audience, watcher):
    session = opened(audience)
    session.heard(0, OPENED + PROBED)
    other = Watcher(b"other")
    audience.join(other)
    assert not session.suits()
    outgoing(session, 100.05)
    assert other.heard == []


def test_who_is_gone_is_not_told_and_nothing_is_tracked_for_it(audience):
    watcher = Watcher()
    audience.join(watcher)
    session = opened(audience)
    session.heard(0, OPENED + PROBED)
    del watcher
    gc.collect()
    session.heard(0, invalidated(b"sk:e:1"))
    assert not session.suits()
    assert audience.watchers() == []


def test_a_bell_is_armed_when_the_server_has_confirmed_and_rings(audience):
    session = opened(audience)
    session.heard(0, HELLO + PROBED)
    bell = Bell(threading.Event)
    audience.hang(b"c", bell)
    assert outgoing(session, 100.1) == [b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n"]
    assert outgoing(session, 100.1) == []
    assert not bell.armed.is_set()
    session.heard(0, push(b"subscribe", b"c", b"1"))
    assert bell.armed.is_set()
    late = Bell(threading.Event)
    audience.hang(b"c", late)
    assert outgoing(session, 100.1) == []
    assert late.armed.is_set()
    session.heard(0, push(b"message", b"other", b""))
    assert not bell.rung.is_set()
    session.heard(0, push(b"message", b"c", b""))
    assert bell.rung.is_set()
    assert late.rung.is_set()
    audience.take_down(b"c", bell)
    assert outgoing(session, 100.1) == []
    audience.take_down(b"c", late)
    assert outgoing(session, 100.1) == [b"*2\r\n$11\r\nUNSUBSCRIBE\r\n$1\r\nc\r\n"]
    session.heard(0, push(b"unsubscribe", b"c", b"0"))


def test_a_confirmation_of_what_was_taken_back_meanwhile_arms_nothing(audience):
    session = opened(audience)
    session.heard(0, HELLO + PROBED)
    first, second = Bell(threading.Event), Bell(threading.Event)
    audience.hang(b"c", first)
    outgoing(session, 100.1)
    audience.take_down(b"c", first)
    outgoing(session, 100.1)
    audience.hang(b"c", second)
    outgoing(session, 100.1)
    session.heard(0, push(b"subscribe", b"c", b"1"))
    assert not second.armed.is_set(), "the server is about to unsubscribe"
    session.heard(0, push(b"unsubscribe", b"c", b"0"))
    assert not second.armed.is_set()
    session.heard(0, push(b"subscribe", b"c", b"1"))
    assert second.armed.is_set()


def test_a_refused_channel_stays_silent_and_ends_nothing(audience):
    session = opened(audience)
    session.heard(0, HELLO + PROBED)
    bell = Bell(threading.Event)
    audience.hang(b"c", bell)
    outgoing(session, 100.1)
    session.heard(0, b"-NOPERM no channel\r\n")
    outgoing(session, 101.1)
    session.heard(0, PROBED)
    outgoing(session, 101.2)
    assert not bell.armed.is_set()
    assert session.proven == 101.1


def test_bells_ring_when_it_is_over_for_what_they_wait_for_may_have_happened(audience, watcher):
    session = opened(audience)
    session.heard(0, OPENED + PROBED)
    bell = Bell(threading.Event)
    audience.hang(b"c", bell)
    outgoing(session, 100.1)
    session.heard(0, push(b"subscribe", b"c", b"1"))
    session.end()
    assert bell.rung.is_set()
    assert not bell.armed.is_set()
    assert watcher.heard[-1] == "lost"
