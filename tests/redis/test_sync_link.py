"""The blocking link against real servers: replies, deadline, breaker, threads, forks."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import fakeredis
import pytest
import redis
import redis.asyncio

from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError
from scalekit.redis import RedisLink
from scalekit.redis._packed import Packed
from scalekit.testing import ManualClock
from tests.redis.proxies import CERTIFICATE, Proxy, full_backlog
from tests.servers.lifeline import wait_until

DEADLINE = 0.05
SLACK = 0.02


def timed(call, *args):
    began = time.perf_counter()
    try:
        outcome = call(*args)
    except BackendError as error:
        outcome = error
    return time.perf_counter() - began, outcome


def timed_out(link, calls=3):
    """Calls that must each end by the deadline; the quickest counts, since a busy machine only adds."""
    measured = [timed(link.execute, "ECHO", "x" * 50) for _ in range(calls)]
    assert [type(outcome) for _, outcome in measured] == [BackendTimeout] * calls
    assert "no answer within 50 ms" in str(measured[0][1])
    assert DEADLINE * 0.9 <= min(seconds for seconds, _ in measured) <= DEADLINE + SLACK


@pytest.fixture
def link(own_redis):
    with RedisLink.from_url(own_redis.url) as link:
        wait_until(lambda: timed(link.execute, "PING")[1] is True, "it is connected")
        yield link


@pytest.fixture
def patient(own_redis):
    with RedisLink.from_url(own_redis.url, timeout="5s") as link:
        yield link


def test_replies_are_what_redis_py_gives(redis_server, key_prefix):
    commands = [
        ("SET", f"{key_prefix}a", b"\x00\xff\r\n"),
        ("GET", f"{key_prefix}a"),
        ("get", f"{key_prefix}missing"),
        ("HSET", f"{key_prefix}h", "field", "1"),
        ("HGETALL", f"{key_prefix}h"),
        ("EVAL", "return {1, 'two', {3}, false}", 0),
        ("PING",),
        (b"ECHO", b"bytes for a name"),
    ]
    with (
        RedisLink.from_url(redis_server.url, timeout="5s") as link,
        redis.Redis.from_url(redis_server.url) as client,
    ):
        client.delete(f"{key_prefix}h")
        theirs = [client.execute_command(*command) for command in commands]
        client.delete(f"{key_prefix}h")
        assert [link.execute(*command) for command in commands] == theirs
        client.delete(f"{key_prefix}h")
        assert link.pipeline(commands) == theirs
        assert link.pipeline([]) == []


ECHO = Packed("ECHO", b"", b"*2\r\n$4\r\nECHO\r\n$5\r\nwired\r\n")
NO_SUCH = Packed("NOSUCH", b"", b"*1\r\n$6\r\nNOSUCH\r\n")


def test_packed_commands_travel_with_others_and_their_replies_are_raw(redis_url, key_prefix):
    name = f"{key_prefix}a".encode()
    put = Packed("SET", name, b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$1\r\n1\r\n" % (len(name), name))
    with RedisLink.from_url(redis_url, timeout="5s", breaker_failures=1) as link:
        assert link.pipeline([ECHO]) == [b"wired"]
        assert link.pipeline([put, ("SET", name, "2"), ECHO, ("GET", name)]) == [b"OK", True, b"wired", b"2"]
        with pytest.raises(BackendError, match="redis NOSUCH"):
            link.pipeline([NO_SUCH])
        assert link.state == "closed"


def test_an_error_reply_is_the_commands_fault_not_the_servers(redis_url, key_prefix):
    with RedisLink.from_url(redis_url, timeout="5s", breaker_failures=1) as link:
        for command in [("NOSUCH",), ("GET",), ("EVAL", "return redis.error_reply('MY error')", 0)]:
            with pytest.raises(BackendError) as caught:
                link.execute(*command)
            assert type(caught.value) is BackendError
            assert caught.value.backend == "redis"
            assert caught.value.operation == command[0]
            assert isinstance(caught.value.__cause__, redis.ResponseError)
        with pytest.raises(BackendError, match=r"redis LPUSH: .*wrong kind"):
            link.pipeline(
                [("SET", f"{key_prefix}k", 1), ("LPUSH", f"{key_prefix}k", 1), ("INCR", f"{key_prefix}k")]
            )
        assert link.execute("GET", f"{key_prefix}k") == b"2"  # the others took effect
        assert link.state == "closed"


def test_what_cannot_be_encoded_is_refused_and_harms_nothing(redis_url):
    with RedisLink.from_url(redis_url, timeout="5s", breaker_failures=1) as link:
        for argument in (object(), None, [], True, "\ud800"):
            with pytest.raises(
                ConfigurationError, match=r"expected command that can be sent \(.*\); got 'ECHO'"
            ):
                link.execute("ECHO", argument)
        assert link.execute("ECHO", "still") == b"still"
        assert link.state == "closed"


def test_a_frozen_server_costs_the_deadline_then_nothing(own_redis, link):
    assert link.execute("SET", "a", "1") is True
    own_redis.freeze()
    timed_out(link)
    assert link.state == "open"
    refusals = [timed(link.execute, "GET", "a") for _ in range(50)]
    assert all(isinstance(outcome, BackendUnavailable) for _, outcome in refusals)
    assert sorted(seconds for seconds, _ in refusals)[45] < 0.001


@pytest.mark.slow
def test_service_resumes_within_a_second_of_the_thaw(own_redis, link):
    link.execute("SET", "a", "1")
    own_redis.freeze()
    for _ in range(3):
        timed(link.execute, "GET", "a")
    wait_until(lambda: isinstance(timed(link.execute, "GET", "a")[1], BackendTimeout), "a probe has failed")
    own_redis.thaw()  # just after a failed probe: the longest wait there is
    thawed = time.perf_counter()
    wait_until(lambda: timed(link.execute, "GET", "a")[1] == b"1", "the link serves again")
    assert time.perf_counter() - thawed <= 1.0
    assert link.state == "closed"


def test_a_restarted_server_is_found_again_without_a_failed_call(own_redis, patient):
    patient.execute("PING")
    own_redis.restart()
    assert patient.execute("PING") is True


def test_an_outage_is_logged_though_nobody_listens(own_redis, caplog):
    caplog.set_level("INFO", "scalekit")
    clock = ManualClock()
    with RedisLink.from_url(own_redis.url, timeout="5s", breaker_failures=2, clock=clock) as link:
        own_redis.kill()
        for _ in range(5):
            timed(link.execute, "PING")
        [record] = caplog.records
        assert (record.name, record.levelname) == ("scalekit", "WARNING")
        assert record.getMessage().startswith("redis failed 2 times in a row: the circuit breaker is open")
        assert "(ConnectionError: Error 111 connecting to " in record.getMessage()
        own_redis.restart()
        clock.advance("1s")
        link.execute("PING")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_dead_server_is_an_error_at_once_and_not_a_time_out(own_redis, patient):
    own_redis.kill()
    for _ in range(3):
        with pytest.raises(BackendError) as caught:
            patient.execute("PING")
        assert type(caught.value) is BackendError
        assert isinstance(caught.value.__cause__, redis.ConnectionError)
    with pytest.raises(BackendUnavailable, match=r"redis PING: not asked.*next probe in [01]\.\d+ s"):
        patient.execute("PING")


def test_what_the_client_would_retry_is_not_retried(own_redis):
    client = redis.Redis(port=own_redis.port)  # redis-py 8 gives it ten retries with growing pauses
    own_redis.kill()
    with RedisLink(client, timeout="5s") as link:
        seconds, outcome = timed(link.execute, "PING")
    assert type(outcome) is BackendError
    assert seconds < 0.5
    client.close()


def test_exactly_one_of_many_threads_probes(own_redis):
    clock = ManualClock()
    seen = []
    with RedisLink.from_url(own_redis.url, timeout="200ms", clock=clock, on_event=seen.append) as link:
        own_redis.freeze()
        for _ in range(3):
            timed(link.execute, "PING")
        clock.advance("1s")
        barrier = threading.Barrier(24)

        def call(_):
            barrier.wait()
            return timed(link.execute, "PING")[1]

        with ThreadPoolExecutor(24) as pool:
            outcomes = list(pool.map(call, range(24)))
        assert sum(isinstance(outcome, BackendTimeout) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, BackendUnavailable) for outcome in outcomes) == 23
        own_redis.thaw()
        clock.advance("1s")
        assert link.execute("PING") is True
    assert [event.outcome for event in seen] == ["open", "half-open", "open", "half-open", "closed"]
    assert (seen[0].block, seen[0].name, seen[0].backend, seen[0].failures) == ("link", "breaker", "redis", 3)


@pytest.mark.parametrize("fault", [{"delay": 0.03}, {"drip": 0.01}], ids=["slow replies", "dripping replies"])
def test_the_deadline_is_one_for_connect_handshake_and_reply(redis_url, fault):
    server = redis.connection.parse_url(redis_url)
    proxy = Proxy(server["port"], **fault)
    try:
        # SELECT, CLIENT SETINFO and the command are round trips of 30 ms each: every single one is in time.
        with RedisLink.from_url(f"redis://127.0.0.1:{proxy.port}/1") as link:
            timed_out(link)
    finally:
        proxy.close()


def test_a_connect_that_hangs_costs_the_deadline():
    with full_backlog() as port, RedisLink.from_url(f"redis://127.0.0.1:{port}/0") as link:
        timed_out(link)


def test_waiting_for_a_connection_is_no_statement_about_the_server(redis_url):
    with (
        redis.Redis.from_url(redis_url, max_connections=1) as client,
        RedisLink(client, breaker_failures=1) as link,
    ):
        link._transport._places.get()  # the one connection is in use
        link._transport._busy[-1] = None
        seconds, outcome = timed(link.execute, "PING")
        del link._transport._busy[-1]
        link._transport._places.put(None)
        assert isinstance(outcome, BackendTimeout)
        assert "no connection free within 50 ms" in str(outcome)
        assert DEADLINE * 0.9 <= seconds <= DEADLINE + SLACK
        assert link.state == "closed"
        assert link.execute("PING") is True


def test_replies_never_cross_between_threads(redis_url):
    with RedisLink.from_url(redis_url, timeout="5s") as link:

        def talk(name):
            return all(link.execute("ECHO", f"{name}-{i}") == f"{name}-{i}".encode() for i in range(200))

        with ThreadPoolExecutor(12) as pool:
            assert all(pool.map(talk, range(12)))


def test_as_many_connections_as_callers_where_the_client_sets_no_bound(redis_url):
    with (
        redis.Redis.from_url(redis_url, max_connections=2**31) as client,
        RedisLink(client, timeout="5s") as link,
        ThreadPoolExecutor(8) as pool,
    ):
        assert list(pool.map(lambda i: link.execute("ECHO", f"{i}"), range(100)))[99] == b"99"


def test_a_callback_that_fails_is_its_callers_trouble(redis_url, key_prefix):
    with redis.Redis.from_url(redis_url) as client:
        client.set_response_callback("STRLEN", lambda _: 1 / 0)
        with RedisLink(client, timeout="5s", breaker_failures=1) as link:
            with pytest.raises(ZeroDivisionError):
                link.execute("STRLEN", f"{key_prefix}a")
            assert link.execute("ECHO", "next") == b"next"
            assert link.state == "closed"


def test_an_interrupted_call_leaves_no_reply_behind(redis_url, monkeypatch):
    with RedisLink.from_url(redis_url, timeout="5s") as link:
        assert link.execute("ECHO", "first") == b"first"
        with monkeypatch.context() as patch:

            def interrupt(*_):
                raise KeyboardInterrupt

            patch.setattr(link._transport, "_read", interrupt)
            with pytest.raises(KeyboardInterrupt):
                link.execute("ECHO", "lost")
        assert link.execute("ECHO", "second") == b"second"
        assert link.state == "closed"


def test_a_forked_child_uses_connections_of_its_own(redis_url):
    script = f"""
import os
from scalekit.redis import RedisLink
link = RedisLink.from_url({redis_url!r}, timeout="5s")
mine = link.execute("CLIENT", "ID")
child = os.fork()
if child == 0:
    os._exit(0 if link.execute("CLIENT", "ID") != mine and link.execute("ECHO", "child") == b"child" else 1)
assert os.waitpid(child, 0)[1] == 0, "the child spoke on its parent's socket"
assert link.execute("CLIENT", "ID") == mine
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_the_users_client_is_read_and_not_used(redis_url):
    with redis.Redis.from_url(redis_url, socket_timeout=17.0) as client:
        before = dict(client.connection_pool.connection_kwargs)
        with RedisLink(client, timeout="5s") as link:
            link.execute("PING")
        assert client.connection_pool.connection_kwargs == before
        assert client.execute_command("PING") is True


def test_closing_closes_and_the_link_can_be_used_again(own_redis):
    link = RedisLink.from_url(own_redis.url, timeout="5s")
    assert link.execute("PING") is True
    clients = len(own_redis.cmd("CLIENT", "LIST").splitlines())
    link.close()
    wait_until(lambda: len(own_redis.cmd("CLIENT", "LIST").splitlines()) == clients - 1, "it is gone")
    assert link.execute("PING") is True
    link.close()


def test_closing_under_a_call_closes_its_connection_when_it_ends(own_redis):
    link = RedisLink.from_url(own_redis.url, timeout="5s")
    waits = threading.Thread(target=link.execute, args=("BLPOP", "list", 0))
    waits.start()
    wait_until(lambda: b"cmd=blpop" in own_redis.cmd("CLIENT", "LIST"), "it waits")
    link.close()
    own_redis.cmd("RPUSH", "list", "x")
    waits.join()
    wait_until(lambda: b"lib-name=redis-py" not in own_redis.cmd("CLIENT", "LIST"), "it is gone")


def test_an_empty_pipeline_is_no_sign_of_life(own_redis):
    clock = ManualClock()
    with RedisLink.from_url(own_redis.url, clock=clock, breaker_failures=1) as link:
        own_redis.freeze()
        timed(link.execute, "PING")
        clock.advance("1s")
        assert link.pipeline([]) == []
        assert link.state == "open"
        own_redis.thaw()


def test_a_link_used_within_anothers_call_keeps_the_outer_deadline(own_redis, redis_url):
    with RedisLink.from_url(redis_url, timeout="5s") as inner:

        class Credentials(redis.CredentialProvider):
            def get_credentials(self):
                inner.execute("PING")
                return ("password",)

        client = redis.Redis.from_url(own_redis.url, credential_provider=Credentials())
        own_redis.freeze()
        with RedisLink(client) as outer:
            timed_out(outer)
        own_redis.thaw()
        client.close()


@pytest.mark.slow
def test_a_signal_handler_that_raises_leaves_the_link_usable(own_redis):
    # As a worker's soft time limit does, at any moment of a call, again and again.
    script = f"""
import random, signal
from scalekit.errors import BackendError
from scalekit.redis import RedisLink
import redis
class SoftLimit(Exception): pass
armed, crossed = False, []
def handler(*_):
    if armed: raise SoftLimit
signal.signal(signal.SIGALRM, handler)
client = redis.Redis.from_url({own_redis.url!r}, max_connections=4)
link = RedisLink(client, timeout="2s", breaker_failures=10**6)
chance = random.Random(3)
def interrupted(token):
    global armed
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3e-4))
        reply = link.execute("ECHO", token)
        armed = False
        if reply != token.encode():
            crossed.append((reply, token))
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
for i in range(1500):
    try:
        interrupted(f"token {{i}}")
    except Exception:  # SoftLimit, or what redis-py makes of it; no call is expected to survive
        pass
assert not crossed
while link._transport._places.qsize():  # as if every place had been lost
    link._transport._places.get()
try:
    link.execute("ECHO", "missed")
except BackendError:
    pass
assert link._transport._places.qsize() == 4
assert link.execute("ECHO", "well") == b"well"
"""
    # hiredis 3.5 itself crashes when a signal handler raises inside it: redis-py's own parser is sound.
    arguments = [sys.executable, "-c", "import sys; sys.modules['hiredis'] = None" + script]
    done = subprocess.run(arguments, check=False, timeout=30, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]


def test_unix_sockets(own_redis):
    path = own_redis.directory / "redis.sock"
    own_redis.options = (*own_redis.options, "--unixsocket", str(path))
    own_redis.restart()
    with RedisLink.from_url(f"unix://{path}", timeout="5s") as link:
        assert link.execute("ECHO", "over a path") == b"over a path"
    with RedisLink.from_url(f"unix://{path}") as link:
        own_redis.freeze()
        timed_out(link)


def test_tls(own_redis):
    proxy = Proxy(own_redis.port, tls=True)
    try:
        url = f"rediss://localhost:{proxy.port}/0?ssl_ca_certs={CERTIFICATE}"
        with RedisLink.from_url(url, timeout="1s") as link:
            assert link.execute("ECHO", "x" * 100_000) == b"x" * 100_000
        with RedisLink.from_url(f"rediss://localhost:{proxy.port}/0") as link, pytest.raises(BackendError):
            link.execute("PING")  # an unknown authority stays unknown
        with RedisLink.from_url(url, breaker_failures=100) as link:
            timed(link.execute, "PING")  # connects, in time or not: a handshake is slow on a busy machine
            own_redis.freeze()
            timed_out(link, calls=10)  # each shakes hands anew
    finally:
        own_redis.thaw()
        proxy.close()


def test_a_fake_client_will_do_for_tests():
    with RedisLink(fakeredis.FakeRedis()) as link:
        assert link.pipeline([("SET", "a", "1"), ("GET", "a")]) == [True, b"1"]
        with pytest.raises(BackendError):
            link.execute("NOSUCH")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"timeout": "5 parsecs"}, r"expected timeout as a duration: .*; got '5 parsecs'"),
        ({"timeout": 0}, r"expected timeout > 0 seconds; got 0"),
        ({"timeout": -1}, r"expected timeout > 0 seconds; got -1"),
        ({"timeout": math.nan}, r"expected timeout as a duration: .*; got nan"),
        ({"timeout": None}, r"expected timeout as a duration: .*; got None"),
        ({"breaker_reset": timedelta(0)}, r"expected breaker_reset > 0 seconds; got datetime"),
        ({"breaker_failures": 0}, r"expected breaker_failures as an integer >= 1; got 0"),
        ({"breaker_failures": True}, r"expected breaker_failures as an integer >= 1; got True"),
        ({"breaker_failures": 2.0}, r"expected breaker_failures as an integer >= 1; got 2.0"),
        ({"clock": 3.0}, r"expected clock as a callable that returns seconds; got 3.0"),
        ({"on_event": "print"}, r"expected on_event as a callable of one event, or None; got 'print'"),
    ],
)
def test_nonsense_is_refused_at_construction(options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        RedisLink.from_url("redis://localhost", **options)


@pytest.mark.parametrize(
    ("client", "complaint"),
    [
        (redis.asyncio.Redis, "use AsyncRedisLink"),
        (lambda: redis.Redis(decode_responses=True), "decode_responses=False"),
        (lambda: "redis://localhost", "to be a redis-py client.*got 'redis://localhost'"),
        (lambda: None, "to be a redis-py client"),
    ],
)
def test_a_client_that_cannot_work_is_refused(client, complaint):
    with pytest.raises(ConfigurationError, match=f"expected client .*{complaint}"):
        RedisLink(client())


@pytest.mark.parametrize("url", ["", "http://localhost", "redis://localhost:port", 7])
def test_a_url_that_cannot_work_is_refused(url):
    with pytest.raises(ConfigurationError, match="expected url such as 'redis://host:6379/0'"):
        RedisLink.from_url(url)


@pytest.mark.parametrize("command", [(), (5,), (None, "key")])
def test_what_is_no_command_is_refused(redis_url, command):
    with RedisLink.from_url(redis_url, timeout="5s") as link:
        for commands in (5, "GET", {("PING",)}):
            with pytest.raises(ConfigurationError, match="expected commands as a list or tuple of commands"):
                link.pipeline(commands)
        with pytest.raises(ConfigurationError, match=r"expected command as a tuple .*; got 'GET'"):
            link.pipeline(["GET"])
        with pytest.raises(ConfigurationError, match=r"expected command as a tuple that begins with"):
            link.execute(*command)
        assert link.state == "closed"


@pytest.mark.parametrize("option", ["bogus=1", "protocol=7", "protocol=x"])
def test_options_that_redis_py_refuses_are_refused_at_once(option):
    with pytest.raises(ConfigurationError, match=r"expected (client with options that redis-py knows|url)"):
        RedisLink.from_url(f"redis://localhost/0?{option}")


@pytest.mark.parametrize(
    "make",
    [
        lambda: RedisLink("redis://:hunter2@localhost"),
        lambda: RedisLink("redis://:a/hunter2@localhost"),
        lambda: RedisLink.from_url("http://user:hunter2@localhost"),
        lambda: RedisLink.from_url("redis://:hunter2@localhost:port/0"),
        lambda: RedisLink.from_url("redis://:hunter2@localhost/0?socket_timeout=abc"),
        lambda: RedisLink.from_url("redis://:hunter2@localhost/0?bogus=1"),
    ],
)
def test_no_error_tells_a_password(make):
    with pytest.raises(ConfigurationError) as caught:
        make()
    error = caught.value
    assert "hunter2" not in f"{error} {error.__cause__}"


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="deadline"):
        RedisLink.from_url("redis://localhost", deadline=1)
