"""Models of pydantic 2, known by what their class can do: pydantic itself is never imported."""

from __future__ import annotations

from typing import Any


def is_model(kind: Any) -> bool:
    """Whether `kind` is a class that writes itself as JSON and reads that again, as pydantic's models do."""
    return (
        isinstance(kind, type)
        and callable(getattr(kind, "model_dump_json", None))
        and callable(getattr(kind, "model_validate_json", None))
    )


def by_name(kind: Any) -> bool:
    """Whether `kind` can be read by the names of its fields, whatever their aliases: since pydantic 2.11."""
    return "by_name" in (getattr(kind.model_validate_json, "__kwdefaults__", None) or ())


def dump(model: Any) -> str:
    """Return `model` as JSON, which keeps the offset of a time; MessagePack does not."""
    # `round_trip` leaves computed fields out, which a model that forbids extra fields would refuse.
    text: str = model.model_dump_json(by_alias=not by_name(type(model)), round_trip=True)
    return text


def load(kind: Any, text: Any) -> Any:
    """Return the model of class `kind` that `dump` wrote, validated."""
    if by_name(kind):
        return kind.model_validate_json(text, by_alias=False, by_name=True)
    return kind.model_validate_json(text)
