"""vectors/numbers.json: doubles by their bits, with every text that the contract gives them."""

import math

from .number_text import bits, fixed9, from_bits, round9, shortest
from .splitmix import SplitMix64

_CHOSEN = """
0.0 -0.0 1.0 -1.0 0.1 0.2 0.3 0.5 0.7 1.5 2.2 2.6 100.0 123456789.0 1234567890.123456789
0.1234567885 0.1234567895 0.1234567875 -0.1234567885 1.0000000005 2.0000000005 0.0000000005 -0.0000000005
0.00000000049999999999999999 0.00000000050000000000000001 0.0000000015 0.0000000025 0.9999999995 0.99999999949999
9.9999999995 99.9999999995 8388608.0000000005 4194304.0000000005 1048576.0000000005 65536.00000000050
1e-4 0.0001 0.00009999 9.9999e-05 0.000099999999 0.0000999999995 1e-05 1.5e-05 1e-06 1e-07 1e-08 1e-09 9e-10 5e-10
4e-10 1e-10 1e-11 1e-100 2.2250738585072014e-308 2.225073858507201e-308 5e-324 1e-323 4.9406564584124654e-324
1e14 1e15 1e16 1e17 1e21 1e22 1e23 9999999999999998.0 9999999999999999.0 1.0000000000000002e16 123456789012345680.0
999999999999999.9 999999999999999.0 100000000000000.125 9007199254740991.0 9007199254740992.0 9007199254740993.0
4503599627370496.5 4503599627370495.5 2251799813685248.25 1.7976931348623157e308 -1.7976931348623157e308 1e308 1e300 1e100
0.0009765625 0.00048828125 0.000000000931322574615478515625 0.0000000004656612873077392578125 0.001953125 0.0000019073486328125
3.141592653589793 2.718281828459045 1.4142135623730951 0.30000000000000004 5e-05 0.00001 0.000012345678949 0.0000123456785
""".split()


def _near_ties(generator):
    """Numbers whose shortest text is n.dddddddddd5 and their neighbours on both sides."""
    for _ in range(40):
        whole = generator.next() % 1000
        ninths = generator.next() % 10**9
        tie = float("%d.%09d5" % (whole, ninths))
        yield from (tie, -tie, math.nextafter(tie, 0.0), math.nextafter(tie, 1e9))


def _anywhere(generator):
    """Finite doubles with uniform bits: every magnitude."""
    made = 0
    while made < 120:
        value = from_bits("%016x" % generator.next())
        if math.isfinite(value):
            made += 1
            yield value


def _scaled(generator, low_exponent, high_exponent, count):
    """Doubles between two powers of ten."""
    for _ in range(count):
        yield (1.0 + 9.0 * generator.uniform()) * 10.0 ** (low_exponent + generator.next() % (high_exponent - low_exponent))


def values():
    """All doubles of the vectors, each once, in a fixed order."""
    generator = SplitMix64(9)
    out = [float(text) for text in _CHOSEN]
    for power in (-5, -4, 15, 16, 17):
        at = float("1e%d" % power)
        out += [math.nextafter(at, 0.0), at, math.nextafter(at, math.inf)]
    out += _near_ties(generator)
    out += _anywhere(generator)
    out += _scaled(generator, -6, -3, 40)
    out += _scaled(generator, 14, 18, 40)
    out += [generator.uniform() for _ in range(60)]
    out += [from_bits("%016x" % (generator.next() >> 12)) for _ in range(10)]
    return list({bits(value): value for value in out}.values())


def add(tree):
    """Adds the group to the tree."""
    rows = []
    for value in values():
        rounded = round9(value)
        rows.append({"bits": bits(value), "shortest": shortest(value), "round9": shortest(rounded),
                     "round9_bits": bits(rounded), "fixed9": fixed9(value)})
    tree.add_json("vectors/numbers.json", {"numbers": rows})
