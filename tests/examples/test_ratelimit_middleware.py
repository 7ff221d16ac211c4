"""The examples that put a limiter before an application, as servers call them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from scalekit.ratelimit import AsyncRateLimiter, MemoryRateLimitStore, RateLimiter
from tests.architecture.source import ROOT
from tests.ratelimit.stores import AwaitedMemoryStore, breakable


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Asgi:
    """The example under test, and one request to it."""

    def __init__(self, **options):
        self.store = options["store"] = breakable(AwaitedMemoryStore)()
        self.served = []
        self.app = example("ratelimit_asgi").RateLimited(self.hello, AsyncRateLimiter("2/m", **options))

    async def hello(self, scope, receive, send):
        self.served.append(scope["type"])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]})
            await send({"type": "http.response.body", "body": b"hello"})

    def request(self, address, scope_type="http"):
        sent = []

        async def send(message):
            sent.append(message)

        client = (address, 1234) if address else None
        asyncio.run(self.app({"type": scope_type, "client": client}, None, send))
        if not sent:
            return None, {}, b""
        fields = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], fields, sent[1]["body"]


class Wsgi:
    def __init__(self, **options):
        self.store = options["store"] = breakable(MemoryRateLimitStore)()
        self.served = []
        limited = example("ratelimit_wsgi").RateLimited(self.hello, RateLimiter("2/m", **options))
        self.app = validator(limited)

    def hello(self, environ, start_response):
        self.served.append("http")
        start_response("200 OK", [("X-App", "1"), ("Content-Type", "text/plain")])
        return [b"hello"]

    def request(self, address):
        environ, told = {}, []
        setup_testing_defaults(environ)
        environ |= {"REMOTE_ADDR": address, "QUERY_STRING": ""}

        def start_response(status, headers, error=None):
            told.extend([status, headers])
            return print

        answer = self.app(environ, start_response)
        body = b"".join(answer)
        answer.close()
        return int(told[0].split()[0]), {name.lower(): value for name, value in told[1]}, body


@pytest.fixture(params=[Asgi, Wsgi], ids=["asgi", "wsgi"])
def made(request):
    return request.param


def test_an_admitted_request_is_served_and_told_how_it_stands(made):
    app = made()
    status, fields, body = app.request("203.0.113.7")
    assert (status, body, fields["x-app"]) == (200, b"hello", "1")
    assert fields["ratelimit-policy"] == '"2/m";q=2;w=60'
    assert fields["ratelimit"].startswith('"2/m";r=1;')


def test_a_denied_request_is_a_problem_and_is_not_served(made):
    app = made()
    for _ in range(2):
        app.request("203.0.113.7")
    status, fields, body = app.request("203.0.113.7")
    assert status == 429
    assert len(app.served) == 2
    assert fields["content-type"] == "application/problem+json"
    assert int(fields["content-length"]) == len(body)
    assert 0 < int(fields["retry-after"]) <= 60
    assert json.loads(body)["violated-policies"] == ["2/m"]
    assert app.request("203.0.113.8")[0] == 200


def test_a_customer_has_one_quota_for_its_whole_network(made):
    app = made()
    answers = [app.request(f"2001:db8::{number}")[0] for number in range(3)]
    assert answers == [200, 200, 429]


def test_a_store_that_is_away_is_no_fault_of_the_clients(made):
    app = made(on_error="closed")
    app.store.broken = True
    status, fields, body = app.request("203.0.113.7")
    assert (status, json.loads(body)["status"], fields["retry-after"]) == (503, 503, "1")


def test_a_peer_without_an_address_is_one_of_its_own(made):
    app = made()
    assert [app.request("" if made is Wsgi else None)[0] for _ in range(3)] == [200, 200, 429]


def test_what_is_no_request_is_let_through():
    app = Asgi()
    for _ in range(5):
        app.request("203.0.113.7", "lifespan")
    assert app.served == ["lifespan"] * 5
