"""range and slice."""

from typing import Any

from pmemobj._values import Codec

__all__ = ["BY_NAME", "codec_of"]


def _parts(value: range | slice) -> tuple[Any, Any, Any]:
    return value.start, value.stop, value.step


def _range(parts: tuple[int, int, int]) -> range:
    return range(*parts)


def _slice(parts: tuple[Any, Any, Any]) -> slice:
    return slice(*parts)


def _range_key(value: range) -> tuple[object, ...]:
    """Ranges are equal if they give the same numbers."""
    if not value:
        return ("range",)
    first, last = value[0], value[-1]  # len() takes no large ones
    return "range", first, last, value.step if first != last else None


BY_NAME = {
    "range": Codec("range", _parts, _range, stable_key=_range_key),
    "slice": Codec("slice", _parts, _slice),
}


def codec_of(cls: type) -> Codec | None:
    return BY_NAME["range"] if cls is range else BY_NAME["slice"] if cls is slice else None
