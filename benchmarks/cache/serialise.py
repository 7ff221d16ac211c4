"""Values to bytes and back: `python benchmarks/cache/serialise.py`.

Every contender writes and reads the same values, in turns, in this process; a figure is the best of many
rounds, in microseconds, and its ratio is to bare msgspec within this run.

* msgspec: `Encoder.encode` and a typed `Decoder.decode`, which store whatever they are given
* msgspec + check: the same, and a value that would not come back equal and of its type is found the plain
  way: read again what was written, and compare all parts
* pickle, json: as they are; json reads dicts, where the others give the object back
* ours: `MsgspecSerializer`, which refuses such values, alone and compressed above 4 KiB (by zlib), and
  `PickleSerializer`

A profile is a dataclass of about 170 bytes; also as plain values, for functions without an annotation.
"""

from __future__ import annotations

import json
import pickle
import timeit
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from scalekit.cache import CompressedSerializer, MsgspecSerializer, PickleSerializer
from scalekit.cache._same import same

if TYPE_CHECKING:
    from collections.abc import Callable

    Pair = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]

ROUNDS = 15


@dataclass
class Profile:
    id: int
    name: str
    email: str
    bio: str
    score: float
    active: bool
    tags: tuple[str, ...]
    joined: datetime


def profile(number: int) -> Profile:
    bio = f"wrote program {number}, for a machine that was never built"
    joined = datetime(2026, 1, 1, number % 24, tzinfo=UTC)
    return Profile(
        number, "Ada Lovelace", f"ada{number}@example.com", bio, 1.5 * number, True, ("a", "bc"), joined
    )


def plain(number: int) -> dict[str, Any]:
    values = asdict(profile(number))
    return values | {"tags": list(values["tags"]), "joined": values["joined"].isoformat()}


def checked(encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> Callable[[Any], bytes]:
    def dumps(value: Any) -> bytes:
        data = encode(value)
        if not same(value, decode(data)):
            raise TypeError
        return data

    return dumps


def contenders(kind: Any) -> dict[str, Pair]:
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(kind).decode
    ours = MsgspecSerializer(kind)
    compressed = CompressedSerializer(ours, algorithm="zlib")
    signed = PickleSerializer(key=b"a key for this benchmark")
    return {
        "msgspec": (encode, decode),
        "msgspec + check": (checked(encode, decode), decode),
        "pickle": (lambda value: pickle.dumps(value, 5), pickle.loads),
        "json": (lambda value: json.dumps(value, default=as_json).encode(), json.loads),
        "MsgspecSerializer": (ours.dumps, ours.loads),
        "... compressed": (compressed.dumps, compressed.loads),
        "PickleSerializer": (signed.dumps, signed.loads),
    }


def as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else vars(value)


def figures(value: Any, pairs: dict[str, Pair], loops: int) -> dict[str, tuple[int, float, float]]:
    """Return for each contender the bytes, and the microseconds to write and to read them."""
    written = {name: dumps(value) for name, (dumps, _) in pairs.items()}
    best = dict.fromkeys(pairs, (float("inf"), float("inf")))
    for _ in range(ROUNDS):
        for name, (dumps, loads) in pairs.items():
            data = written[name]
            took = [
                timeit.timeit("f(x)", globals={"f": f, "x": x}, number=loops) / loops * 1e6
                for f, x in ((dumps, value), (loads, data))
            ]
            best[name] = (min(best[name][0], took[0]), min(best[name][1], took[1]))
    return {name: (len(written[name]), *best[name]) for name in pairs}


def show(title: str, found: dict[str, tuple[int, float, float]]) -> None:
    _, write, read = found["msgspec"]
    print(f"{title:26}{'bytes':>8}{'dumps us':>11}{'ratio':>8}{'loads us':>11}{'ratio':>8}")
    for name, (size, dumps, loads) in found.items():
        print(f"  {name:24}{size:>8}{dumps:>11.2f}{dumps / write:>8.2f}{loads:>11.2f}{loads / read:>8.2f}")
    print()


def main() -> None:
    hundred = range(100)
    for title, kind, value, loops in (
        ("a profile", Profile, profile(7), 2_000),
        ("a list of 100", list[Profile], list(map(profile, hundred)), 40),
        ("a profile, plain", Any, plain(7), 2_000),
        ("a list of 100, plain", Any, list(map(plain, hundred)), 40),
    ):
        show(title, figures(value, contenders(kind), loops))


if __name__ == "__main__":
    main()
