"""SplitMix64: the one named generator behind projection directions and generated test data.

Owns 64 bits of state; never reads a clock or another random source.
"""

_MASK = (1 << 64) - 1


class SplitMix64:
    """Seeded with an i64, taken as its two's-complement u64."""

    def __init__(self, seed: int):
        self.state = seed & _MASK

    def next(self) -> int:
        """The next 64-bit word."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
        return z ^ z >> 31

    def uniform(self) -> float:
        """A double in [0, 1) from the top 53 bits."""
        return (self.next() >> 11) * 2.0**-53
