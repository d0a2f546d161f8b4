"""decimal.Decimal and fractions.Fraction.  As keys they are equal to ints and floats of the same value."""

from decimal import Decimal
from fractions import Fraction

from pmemobj._values import Codec

__all__ = ["BY_NAME", "codec_of", "number_key"]


def number_key(number: object) -> int:
    """Python's hash of a number is the same in every process and for all types: it is its own hash."""
    return hash(number) if number == number else 0  # since 3.10 that of a NaN is its address


def _fraction(parts: tuple[int, int]) -> Fraction:
    return Fraction(*parts)


BY_NAME = {
    "decimal": Codec("decimal", str, Decimal, stable_key=number_key),
    "fract": Codec("fract", Fraction.as_integer_ratio, _fraction, stable_key=number_key),
}


def codec_of(cls: type) -> Codec | None:
    return BY_NAME["decimal"] if cls is Decimal else BY_NAME["fract"] if cls is Fraction else None
