"""`ImageCompressor`, and the steps of one compression that both faces take."""

from __future__ import annotations

import threading
import time
from os import PathLike, fspath, fstat
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias

from scalekit.errors import ConfigurationError, ImageRejected
from scalekit.events import guarded
from scalekit.images._check import callables, whole
from scalekit.images._events import compressed, failed
from scalekit.images._formats import is_lossy
from scalekit.images._limits import ImageLimits
from scalekit.images._plan import plan
from scalekit.images._probe import probe
from scalekit.images._recipe import ImageRecipe
from scalekit.images._result import CompressedImage, Report
from scalekit.images._search import Found, no_larger
from scalekit.images.protocols import ImageBackend

if TYPE_CHECKING:
    from types import TracebackType

    from scalekit._time import Clock
    from scalekit.events import Hook
    from scalekit.images._plan import Plan
    from scalekit.images.protocols import Rendered

Source: TypeAlias = "bytes | bytearray | memoryview | str | PathLike[str] | BinaryIO"
"""An encoded image: its bytes, the path of its file, or a file opened in binary mode."""

_MEMORY = 512 * 2**20
_CHUNK = 2**20
CLOSED = "the image compressor is closed"


class Compression:
    """What a compressor does to one image. Immutable, safe to share between threads."""

    __slots__ = ("_backend", "_limits", "_memory", "_recipe", "_version")

    def __init__(
        self, recipe: ImageRecipe, *, backend: ImageBackend | None, limits: ImageLimits | None, memory: int
    ) -> None:
        if not isinstance(recipe, ImageRecipe):
            raise ConfigurationError("recipe", recipe, "as an ImageRecipe")
        if limits is not None and not isinstance(limits, ImageLimits):
            raise ConfigurationError("limits", limits, "as ImageLimits")
        if backend is None:
            from scalekit.images.pillow import PillowBackend  # noqa: PLC0415  # only the default needs Pillow

            backend = PillowBackend()
        if isinstance(backend, type) or not isinstance(backend, ImageBackend):
            raise ConfigurationError("backend", backend, "as an ImageBackend object")
        backend.check(recipe)
        self._recipe = recipe
        self._backend = backend
        self._limits = limits or ImageLimits()
        self._memory = whole(memory, "memory", 1)
        self._version = backend.version

    def __call__(self, source: Source) -> CompressedImage:
        """Read, check, plan, decode and encode `source`, in this order."""
        data = _read(source, self._limits)
        info = probe(data)
        self._limits.check(info)
        steps = plan(info, self._recipe)
        if steps.memory > self._memory:
            raise ImageRejected("memory", self._memory, steps.memory)
        rendered = self._backend.render(steps, data)
        found = _encode(rendered, steps)
        width, height = rendered.size
        return CompressedImage(
            data=found.data,
            width=width,
            height=height,
            input_bytes=len(data),
            report=Report(
                plan=steps,
                encoding=found.encoding,
                encodes=found.encodes,
                reached=found.reached,
                backend=self._version,
            ),
        )


class Workers:
    """Runs work on the calling threads, `count` of them at a time."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(whole(count, "workers", 1))
        self._closed = False

    def run(self, work: Compression, source: Source) -> CompressedImage:
        """Wait for a turn, and return the result of `work`."""
        if self._closed:
            raise RuntimeError(CLOSED)
        with self._free:
            return work(source)

    def close(self) -> None:
        """Refuse further work."""
        self._closed = True


class ImageCompressor:
    """Compresses images by one recipe; at most `workers` at a time, further calls wait their turn.

    `backend` defaults to `PillowBackend()`, `limits` to `ImageLimits()`. `memory` is what one image
    may take at its peak, in bytes, as planned from its header: all of them together take at most
    `workers` times that. `on_event` gets one `ImageEvent` per call. Raises `ConfigurationError` for
    a recipe that the backend cannot follow, `MissingExtra` without Pillow. Safe to share between
    threads; a context manager.
    """

    def __init__(
        self,
        recipe: ImageRecipe,
        *,
        backend: ImageBackend | None = None,
        limits: ImageLimits | None = None,
        workers: int = 2,
        memory: int = _MEMORY,
        on_event: Hook | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        callables(on_event, clock)
        self._compression = Compression(recipe, backend=backend, limits=limits, memory=memory)
        self._workers = Workers(workers)
        self._emit = guarded(on_event)
        self._clock = clock

    def compress(self, source: Source, /) -> CompressedImage:
        """Return `source` (bytes, a path, or a binary file) compressed; never bytes of the upload itself.

        The result is never larger than a source of the same format whose pixels did not have to
        change, save for lossless formats. Raises `ImageRejected` when a limit is broken and
        `ImageBroken` for a damaged image; a path or file that cannot be read is an `OSError`.
        """
        if self._emit is None:
            return self._workers.run(self._compression, source)
        started = self._clock()
        try:
            image = self._workers.run(self._compression, source)
        except Exception as error:
            self._emit(failed(error, self._clock() - started))
            raise
        self._emit(compressed(image, self._clock() - started))
        return image

    def close(self) -> None:
        """Refuse further calls (`RuntimeError`); those under way are finished. May be called twice."""
        self._workers.close()

    def __enter__(self) -> Self:
        """Return the compressor; leaving the block closes it."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        """Close the compressor."""
        self.close()


def _encode(rendered: Rendered, steps: Plan) -> Found:
    encoding = steps.encoding
    if steps.unchanged and is_lossy(encoding):
        return no_larger(rendered.encode, encoding, ceiling=steps.source.input_bytes)
    return Found(rendered.encode(encoding), encoding)


def _read(source: Source, limits: ImageLimits) -> bytes:
    """Return all bytes of `source`, reading no more than the limit and one."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        limits.check_bytes(memoryview(source).nbytes)
        return bytes(source)
    if isinstance(source, (str, PathLike)):
        with open(fspath(source), "rb") as file:  # noqa: PTH123  # pathlib would be imported for nothing
            limits.check_bytes(fstat(file.fileno()).st_size)
            return _read_file(file, limits)
    if not callable(getattr(source, "read", None)):
        raise ConfigurationError("source", source, "as bytes, a path or a binary file")
    return _read_file(source, limits)


def _read_file(file: BinaryIO, limits: ImageLimits) -> bytes:
    data = bytearray()
    # Raw files and sockets may give less than asked for.
    while chunk := file.read(min(_CHUNK, limits.max_bytes + 1 - len(data))):
        if not isinstance(chunk, bytes):
            raise ConfigurationError("source", file, "as a file opened in binary mode")
        data += chunk
        limits.check_bytes(len(data))
    return bytes(data)
