"""Number texts: shortest form, nine-decimal rounding and the fixed form.

Owns every way a double becomes text.  Never parses JSON and never touches a record.
"""

import decimal
import struct

_NINTH = decimal.Decimal("1e-9")
# A double has at most 309 digits before the point; nine follow it.
_WIDE = decimal.Context(prec=400, rounding=decimal.ROUND_HALF_UP)


def shortest(value: float) -> str:
    """The shortest decimal that reads back to the same double, as CPython writes it."""
    return repr(value)


def round9(value: float) -> float:
    """Nine decimals, half away from zero, decided on the shortest text of the value."""
    text = decimal.Decimal(repr(value))
    return float(text.quantize(_NINTH, context=_WIDE))


def fixed9(value: float) -> str:
    """C's `%.9f` of the rounded double: exact binary value, half to even."""
    return "%.9f" % round9(value)


def bits(value: float) -> str:
    """The IEEE 754 bits as 16 hex digits, so that a vector names exactly one double."""
    return struct.pack(">d", value).hex()


def from_bits(text: str) -> float:
    """The double that `bits` named."""
    return struct.unpack(">d", bytes.fromhex(text))[0]
