"""Servers between a link and Redis that misbehave in ways a real one does only on a bad day."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # self-signed, with its key; for these tests alone


class Proxy:
    """Passes bytes on to `port` and back, one byte of the answer every `drip` seconds if asked to."""

    def __init__(self, port: int, *, drip: float = 0.0, delay: float = 0.0, tls: bool = False) -> None:
        self._target = ("127.0.0.1", port)
        self._drip = drip
        self._delay = delay
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATE)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
                self._open.append(client)
            server = socket.create_connection(self._target)
            self._open.append(server)
            self._spawn(self._forward, client, server)
            while answer := server.recv(65_536):
                time.sleep(self._delay)
                pieces = (answer[i : i + 1] for i in range(len(answer))) if self._drip else [answer]
                for piece in pieces:
                    client.sendall(piece)
                    time.sleep(self._drip)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                server.sendall(data)

    def _spawn(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5.0)


@contextlib.contextmanager
def always_answering(answer: bytes) -> Iterator[int]:
    """A port on which every command gets the same `answer`."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve(client: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := client.recv(65_536):
                    client.sendall(answer * len(re.findall(rb"\*\d+\r\n", data)))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = stack.enter_context(listener.accept()[0])
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(5.0)


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port on which nothing can connect and nothing is refused: the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
