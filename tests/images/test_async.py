from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from scalekit.errors import BackendError, ConfigurationError, ImageBroken, ImageRejected
from scalekit.images import AsyncImageCompressor, ImageCompressor, ImageLimits, ImageRecipe, Jpeg
from scalekit.testing import ManualClock
from tests.images import hostile, pictures
from tests.images.backends import SpyBackend

pytestmark = pytest.mark.anyio
SMALL = hostile.png(40, 30)


async def test_it_gives_what_the_sync_face_gives(tmp_path):
    data = pictures.encoded(pictures.noise(), "JPEG")
    path = tmp_path / "upload"
    await asyncio.to_thread(path.write_bytes, data)
    expected = await asyncio.to_thread(ImageCompressor(ImageRecipe().fit(50, 50)).compress, data)
    async with AsyncImageCompressor(ImageRecipe().fit(50, 50)) as compressor:
        assert await compressor.compress(data) == expected
        assert await compressor.compress(path) == expected


async def test_the_loop_runs_on_while_workers_work_and_no_more_than_those():
    spy = SpyBackend()
    spy.gate = threading.Event()
    async with AsyncImageCompressor(ImageRecipe(), backend=spy, workers=2) as compressor:
        calls = [asyncio.create_task(compressor.compress(SMALL)) for _ in range(6)]
        assert await asyncio.to_thread(spy.entered.acquire, timeout=10)
        assert await asyncio.to_thread(spy.entered.acquire, timeout=10)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(spy.calls) == 2
        spy.gate.set()
        images = await asyncio.gather(*calls)
    assert len(images) == 6
    assert spy.most_at_once == 2
    assert threading.current_thread() not in spy.threads
    assert all(thread.name.startswith("scalekit-images") for thread in spy.threads)


async def test_no_thread_is_started_by_the_constructor_and_none_is_left_behind():
    before = threading.active_count()
    compressor = AsyncImageCompressor(ImageRecipe(), backend=SpyBackend())
    assert threading.active_count() == before
    await compressor.compress(SMALL)
    await compressor.aclose()
    assert not any(thread.name.startswith("scalekit-images") for thread in threading.enumerate())


async def test_a_call_that_is_cancelled_while_it_waits_is_never_begun():
    spy = SpyBackend()
    spy.gate = threading.Event()
    async with AsyncImageCompressor(ImageRecipe(), backend=spy, workers=1) as compressor:
        first = asyncio.create_task(compressor.compress(SMALL))
        assert await asyncio.to_thread(spy.entered.acquire, timeout=10)
        second = asyncio.create_task(compressor.compress(SMALL))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        spy.gate.set()
        await first
    assert len(spy.calls) == 1


async def test_errors_are_the_same():
    async with AsyncImageCompressor(ImageRecipe(), backend=SpyBackend()) as compressor:
        with pytest.raises(ImageRejected, match="format"):
            await compressor.compress(b"")
        with pytest.raises(ImageBroken):
            await compressor.compress(SMALL[:-1])
        with pytest.raises(ConfigurationError, match="expected source"):
            await compressor.compress(None)


async def test_closed_is_closed():
    compressor = AsyncImageCompressor(ImageRecipe(), backend=SpyBackend())
    await compressor.aclose()
    await compressor.aclose()
    with pytest.raises(RuntimeError, match="the image compressor is closed"):
        await compressor.compress(SMALL)


@pytest.mark.parametrize(
    ("error", "data", "outcome"),
    [(None, SMALL, "ok"), (None, b"", "rejected"), (BackendError("spy", "render", "no"), SMALL, "error")],
)
async def test_events_are_emitted_on_the_loops_own_thread(error, data, outcome):
    seen = []
    compressor = AsyncImageCompressor(
        ImageRecipe(),
        backend=SpyBackend(error=error),
        on_event=lambda event: seen.append((event.outcome, event.seconds, threading.current_thread())),
        clock=ManualClock(),
    )
    async with compressor:
        try:
            await compressor.compress(data)
        except (BackendError, ImageRejected):
            assert outcome != "ok"
    assert seen == [(outcome, 0, threading.current_thread())]


@pytest.mark.parametrize(
    "arguments",
    [
        {"workers": 0},
        {"memory": "1"},
        {"limits": {}},
        {"recipe": "web"},
        {"on_event": 5},
        {"clock": 5},
        {"recipe": ImageRecipe().encode(Jpeg(13))},
    ],
)
async def test_bad_arguments_are_refused_at_construction(arguments):
    with pytest.raises(ConfigurationError):
        AsyncImageCompressor(**{"recipe": ImageRecipe(), "backend": SpyBackend(), **arguments})


async def test_limits_hold():
    limits = ImageLimits(max_bytes=10)
    async with AsyncImageCompressor(ImageRecipe(), backend=SpyBackend(), limits=limits) as compressor:
        with pytest.raises(ImageRejected, match="expected bytes within 10"):
            await compressor.compress(SMALL)


async def test_twins_have_the_same_signatures():
    for name in ("__init__", "compress"):
        assert inspect.signature(getattr(AsyncImageCompressor, name)) == inspect.signature(
            getattr(ImageCompressor, name)
        )
