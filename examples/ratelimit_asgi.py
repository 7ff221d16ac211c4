"""A rate limit for any ASGI application (Starlette, FastAPI, Quart, Django), without a dependency.

    app = RateLimited(app, AsyncRateLimiter("10/s", "1000/h", store=...))

`key_of` says who asks; the default is the peer's address, which behind a proxy is the proxy's: see
docs/ratelimit-proxies.md. A denied request is answered with 429 and a problem document, or with 503
while the store is away and the limiter is `on_error="closed"`; an admitted one gets the RateLimit fields.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scalekit.ratelimit import client_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from scalekit.ratelimit import AsyncRateLimiter

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]


def peer(scope: Message) -> str:
    """Return the key of who has opened the connection; a Unix socket's peers are all one."""
    client = scope.get("client")
    return client_key(client[0]) if client else "local"


class RateLimited:
    def __init__(self, app: App, limiter: AsyncRateLimiter, key_of: Callable[[Message], str] = peer) -> None:
        self.app = app
        self.limiter = limiter
        self.key_of = key_of

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        decision = await self.limiter.hit(self.key_of(scope))
        fields = [(name.lower().encode(), value.encode()) for name, value in decision.headers().items()]
        if not decision:
            problem = decision.problem()
            body = json.dumps(problem).encode()
            fields += [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": problem["status"], "headers": fields})
            await send({"type": "http.response.body", "body": body})
            return

        async def with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *fields]
            await send(message)

        await self.app(scope, receive, with_fields)
