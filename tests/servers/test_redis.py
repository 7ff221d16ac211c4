from __future__ import annotations

import os
import re
import time

import pytest

from tests.servers import redis as redises
from tests.servers.inner import run_tests
from tests.servers.lifeline import NoServer, wait_until
from tests.servers.redis import ExternalRedis, RedisError, RedisServer


def test_every_flavour_answers_and_starts_each_test_empty(redis_server, key_prefix):
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        if isinstance(redis_server, RedisServer):
            assert client.dbsize() == 0
        assert client.set(key_prefix + "a", "1")
        assert client.get(key_prefix + "a") == b"1"


def test_the_session_url_serves(redis_url):
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_answers_of_every_kind_are_read(own_redis):
    assert own_redis.cmd("SET", "k", b"\x00\r\n") == b"OK"
    assert own_redis.cmd("GET", "k") == b"\x00\r\n"
    assert own_redis.cmd("GET", "absent") is None
    assert own_redis.cmd("MGET", "k", "absent") == [b"\x00\r\n", None]
    assert own_redis.cmd("INCR", "n") == 1
    with pytest.raises(RedisError, match="WRONGTYPE"):
        own_redis.cmd("LPUSH", "k", "x")


def test_commands_are_counted_since_the_last_flush(own_redis):
    own_redis.cmd("SET", "k", 1)
    own_redis.flush()
    own_redis.cmd("SET", "k", 1)
    own_redis.cmd("EVAL", "return redis.call('get', KEYS[1])", 1, "k")
    calls = own_redis.calls()
    assert (calls["set"], calls["eval"], calls["get"]) == (1, 1, 1)


def test_a_frozen_server_hangs_until_it_is_thawed(own_redis):
    own_redis.freeze()
    with pytest.raises(TimeoutError):
        own_redis.cmd("PING", timeout=0.05)
    own_redis.thaw()
    assert own_redis.cmd("PING") == b"PONG"


def test_a_killed_server_refuses_connections_and_restarts_on_its_port(own_redis):
    port = own_redis.port
    own_redis.kill()
    with pytest.raises(ConnectionRefusedError):
        own_redis.cmd("PING")
    own_redis.restart()
    assert own_redis.port == port
    assert own_redis.cmd("PING") == b"PONG"


@pytest.mark.parametrize("harm", ["freeze", "kill", "stop"])
def test_restore_undoes_any_harm(own_redis, harm):
    getattr(own_redis, harm)()
    own_redis.restore()
    assert own_redis.cmd("PING") == b"PONG"


def test_a_server_that_died_by_itself_is_restored(own_redis):
    own_redis.process.kill()
    wait_until(lambda: own_redis.process.poll() is not None, "the server is dead")
    own_redis.restore()
    assert own_redis.cmd("PING") == b"PONG"


def test_a_frozen_server_can_be_closed(own_redis):
    server = RedisServer(own_redis.binary)
    server.start()
    pid = server.pid
    server.freeze()
    server.close()
    assert not server.directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_does_not_start_says_why(own_redis):
    server = RedisServer(own_redis.binary, "--no-such-option", "x")
    with pytest.raises(NoServer, match="no-such-option"):
        server.start()
    server.close()


def test_without_any_binary_the_tests_fail_and_say_what_to_do(monkeypatch):
    monkeypatch.setattr(redises, "flavours", dict)
    with pytest.raises(NoServer, match="REDIS_URL"):
        redises.preferred()


def test_one_binary_can_be_chosen(monkeypatch):
    monkeypatch.setenv("SCALEKIT_TEST_REDIS_BIN", "/opt/my-redis")
    assert redises.flavours() == {"my-redis": "/opt/my-redis"}


def test_of_another_server_only_the_keys_of_a_test_are_deleted(own_redis, key_prefix):
    own_redis.cmd("MSET", "theirs", 1, key_prefix + "a", 1, "scalekit:{" + key_prefix + "}:b", 1)
    server = ExternalRedis(own_redis.url)
    server.flush()
    server.forget(key_prefix)
    assert own_redis.cmd("KEYS", "*") == [b"theirs"]


def test_waiting_ends():
    started = time.monotonic()
    with pytest.raises(NoServer, match="pigs fly"):
        wait_until(lambda: False, "pigs fly", timeout=0.01)
    assert time.monotonic() - started < 5


def test_a_given_server_is_used_nothing_started_and_fault_tests_left_out(own_redis):
    own_redis.cmd("SET", "theirs", "untouched")
    given = {"REDIS_URL": own_redis.url, "SCALEKIT_TEST_REDIS_BIN": "/bin/false"}
    report = run_tests("tests/servers/test_redis.py", "serves or empty or frozen", **given)
    assert re.search(r"2 passed, \d+ deselected", report), report
    assert own_redis.cmd("GET", "theirs") == b"untouched"
