"""Reads doubles as 16 hex digits per line; writes what CPython makes of each: its repr, the repr of its value rounded to
nine decimals (half up on the shortest text, away from zero), and %.9f of that rounded value and of the value itself."""
import struct
import sys
from decimal import ROUND_HALF_UP, Decimal, getcontext

getcontext().prec = 800
NINE = Decimal("1e-9")
out = []
for line in sys.stdin:
    (value,) = struct.unpack(">d", bytes.fromhex(line.strip()))
    rounded = float(Decimal(repr(value)).quantize(NINE, rounding=ROUND_HALF_UP))
    out.append("%r %r %.9f %.9f\n" % (value, rounded, rounded, value))
sys.stdout.write("".join(out))
