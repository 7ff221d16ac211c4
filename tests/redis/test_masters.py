"""Which masters a cluster has, from what its nodes say."""

from __future__ import annotations

import pytest

from scalekit.redis._masters import Asked, Unknown, addresses


def slots(*masters):
    return [
        [b"0", b"1", [host, port, name, []], [b"10.0.0.9", b"7", b"replica"]] for host, port, name in masters
    ]


NODES = """\
aaa 10.0.0.1:6379@16379,one.example myself,master - 0 0 1 connected 0-100
bbb 10.0.0.2:6379@16379,two.example master - 0 1 2 connected 101-200
ccc 10.0.0.3:6379@16379,three.example slave aaa 0 1 1 connected
ddd 10.0.0.4:6379@16379,four.example master - 0 1 0 connected
eee :0@0 master,fail,noaddr - 1 1 0 disconnected
fff 10.0.0.6:6379@16379,six.example master,fail - 1 1 0 disconnected

"""


def test_masters_without_slots_are_called_as_the_others_are():
    by_address = slots((b"10.0.0.1", b"6379", b"aaa"), (b"10.0.0.2", b"6379", b"bbb"))
    assert addresses(by_address, NODES, seed="seed") == [
        ("10.0.0.1", 6379),
        ("10.0.0.2", 6379),
        ("10.0.0.4", 6379),
    ]
    by_name = slots((b"one.example", b"6380", b"aaa"), (b"two.example", b"6380", b"bbb"))
    assert addresses(by_name, NODES, seed="seed") == [
        ("one.example", 6380),
        ("two.example", 6380),
        ("four.example", 6379),
    ]


@pytest.mark.parametrize("host", [b"", None])
def test_a_node_that_does_not_know_its_address_is_where_it_was_asked(host):
    nodes = "aaa :6379@16379 myself,master - 0 0 1 connected 0-100\n"
    assert addresses(slots((host, b"6379", b"aaa")), nodes, seed="seed") == [("seed", 6379)]


def test_a_master_with_two_ranges_is_one():
    twice = slots((b"10.0.0.1", b"6379", b"aaa"), (b"10.0.0.1", b"6379", b"aaa"))
    assert addresses(twice, "", seed="seed") == [("10.0.0.1", 6379)]


def test_redis_6_has_no_names():
    nodes = "aaa ::1:6379@16379 myself,master - 0 0 1 connected 0-100\nbbb ::2:6380@16380 master - 0 0 2 connected\n"  # noqa: E501
    known = [[b"0", b"1", [b"::1", b"6379", b"aaa"]]]
    assert addresses(known, nodes, seed="seed") == [("::1", 6379), ("::2", 6380)]


def test_the_answer_may_come_in_pieces():
    asked = Asked(("seed", 1))
    wire = b"%0\r\n*1\r\n*3\r\n:0\r\n:9\r\n*3\r\n$1\r\nh\r\n:6\r\n$1\r\na\r\n$0\r\n\r\n"
    assert [asked.heard(wire[i : i + 1]) for i in range(len(wire))] == [False] * (len(wire) - 1) + [True]
    assert asked.addresses() == [("h", 6)]


@pytest.mark.parametrize("answer", [b"", b"%0\r\n-ERR This instance has cluster support disabled\r\n"])
def test_a_server_that_has_no_cluster_is_unknown(answer):
    with pytest.raises(Unknown):
        Asked(("seed", 1)).heard(answer)


def test_a_cluster_without_masters_is_unknown():
    asked = Asked(("seed", 1))
    assert asked.heard(b"%0\r\n*0\r\n$0\r\n\r\n")
    with pytest.raises(Unknown):
        asked.addresses()
