"""`AsyncImageCompressor`: a bounded hand-off to threads, where Pillow releases the GIL."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from scalekit.events import guarded
from scalekit.images._check import callables, whole
from scalekit.images._events import compressed, failed
from scalekit.images._sync import CLOSED, Compression

if TYPE_CHECKING:
    from types import TracebackType

    from scalekit._time import Clock
    from scalekit.events import Hook
    from scalekit.images._limits import ImageLimits
    from scalekit.images._recipe import ImageRecipe
    from scalekit.images._result import CompressedImage
    from scalekit.images._sync import Source
    from scalekit.images.protocols import ImageBackend

_MEMORY = 512 * 2**20


class AsyncWorkers:
    """Runs work in at most `count` threads of its own, which are started when they are needed."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(whole(count, "workers", 1), thread_name_prefix="scalekit-images")
        self._closed = False

    async def run(self, work: Compression, source: Source) -> CompressedImage:
        """Wait for a thread, and return the result of `work`."""
        if self._closed:
            raise RuntimeError(CLOSED)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, source)

    async def aclose(self) -> None:
        """Refuse further work, and wait for what is under way without blocking the loop."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)


class AsyncImageCompressor:
    """Compresses images by one recipe in at most `workers` threads of its own; further calls wait.

    Files are read there, too, so the event loop never blocks. A call that is cancelled while it
    waits is never begun; one under way runs to its end in its thread and its result is dropped.
    Everything else is as in `ImageCompressor`; an async context manager.
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
        self._workers = AsyncWorkers(workers)
        self._emit = guarded(on_event)
        self._clock = clock

    async def compress(self, source: Source, /) -> CompressedImage:
        """Return `source` (bytes, a path, or a binary file) compressed; never bytes of the upload itself.

        The result is never larger than a source of the same format whose pixels did not have to
        change, save for lossless formats. Raises `ImageRejected` when a limit is broken and
        `ImageBroken` for a damaged image; a path or file that cannot be read is an `OSError`.
        """
        if self._emit is None:
            return await self._workers.run(self._compression, source)
        started = self._clock()
        try:
            image = await self._workers.run(self._compression, source)
        except Exception as error:
            self._emit(failed(error, self._clock() - started))
            raise
        self._emit(compressed(image, self._clock() - started))
        return image

    async def aclose(self) -> None:
        """Refuse further calls (`RuntimeError`); return when those under way are finished."""
        await self._workers.aclose()

    async def __aenter__(self) -> Self:
        """Return the compressor; leaving the block closes it."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        """Close the compressor."""
        await self.aclose()
