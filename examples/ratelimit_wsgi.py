"""A rate limit for any WSGI application (Flask, Django, Pyramid), without a dependency.

    app.wsgi_app = RateLimited(app.wsgi_app, RateLimiter("10/s", "1000/h", store=...))  # Flask

`key_of` says who asks; the default is the peer's address, which behind a proxy is the proxy's: see
docs/ratelimit-proxies.md. A denied request is answered with 429 and a problem document, or with 503
while the store is away and the limiter is `on_error="closed"`; an admitted one gets the RateLimit fields.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from scalekit.ratelimit import client_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from scalekit.ratelimit import RateLimiter


def peer(environ: WSGIEnvironment) -> str:
    """Return the key of who has opened the connection; a Unix socket's peers are all one."""
    address = environ.get("REMOTE_ADDR")
    return client_key(address) if address else "local"


class RateLimited:
    def __init__(
        self, app: WSGIApplication, limiter: RateLimiter, key_of: Callable[[WSGIEnvironment], str] = peer
    ) -> None:
        self.app = app
        self.limiter = limiter
        self.key_of = key_of

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        decision = self.limiter.hit(self.key_of(environ))
        fields = list(decision.headers().items())
        if not decision:
            problem = decision.problem()
            body = json.dumps(problem).encode()
            fields += [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
            status = HTTPStatus(problem["status"])
            start_response(f"{status.value} {status.phrase}", fields)
            return [body]

        def with_fields(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
            headers = [*headers, *fields]
            return start_response(status, headers, error) if error else start_response(status, headers)

        return self.app(environ, with_fields)
