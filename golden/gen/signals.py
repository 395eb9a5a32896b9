"""The signals of an event stream and the numbers that a verifier recomputes.

Owns every formula of the record contract.  Never reads JSON, never signs; sums run left to
right in doubles.
"""

import hashlib
import math
import zlib
from dataclasses import dataclass

from .number_text import round9
from .splitmix import SplitMix64

SLOPE_DX_MIN = 1e-9
SPREAD_MIN = 1e-9
DIRECTIONS = 100
BINS = 20
CHUNK_BYTES = 64
NO_LEAVES_ROOT = "0" * 64


@dataclass(frozen=True)
class Params:
    """One versioned parameter set."""

    version: str = "1"
    tol_d: float = 0.15
    tol_coh: float = 0.05
    tol_budget: float = 0.01
    base: float = 0.10
    alpha: float = 0.30
    beta: float = 0.50
    gamma: float = 0.20
    d0: float = 2.2
    coh_sticky: float = 0.70
    d_sticky: float = 1.5
    d_non_sticky: float = 2.6


DEFAULTS = Params()


def slopes(scales, counts):
    """All usable pairwise slopes of log2(count) over log2(scale), in the order of the scales."""
    xs = [math.log2(s) for s in scales]
    ys = [math.log2(max(1, counts[s])) for s in scales]
    out = []
    for i in range(len(xs)):
        for j in range(i + 1, len(xs)):
            dx = xs[j] - xs[i]
            if abs(dx) >= SLOPE_DX_MIN:
                out.append((ys[j] - ys[i]) / dx)
    return out


def d_hat(scales, counts) -> float:
    """Theil–Sen slope: the upper median of the pairwise slopes, rounded; 0.0 without a slope."""
    ordered = sorted(slopes(scales, counts))
    return round9(ordered[len(ordered) // 2]) if ordered else 0.0


def regime(d: float, coh: float, p: Params = DEFAULTS) -> str:
    """The regime of a claim."""
    if coh >= p.coh_sticky and d <= p.d_sticky:
        return "sticky"
    return "non_sticky" if d >= p.d_non_sticky else "mixed"


def budget(d: float, r: float, coh: float, p: Params = DEFAULTS) -> float:
    """The budget of a claim, clamped to [0, 1] and rounded."""
    total = p.base + p.alpha * (1.0 - r) + p.beta * max(0.0, d - p.d0) + p.gamma * coh
    return round9(min(1.0, max(0.0, total)))


def raw_rows(events) -> bytes:
    """Rows `t,x,y,z` joined by newlines: t with nine decimals, coordinates as they were written."""
    return "\n".join("%.9f,%s,%s,%s" % (float(t), x, y, z) for t, x, y, z in events).encode("ascii")


def compressed_len(raw: bytes) -> int:
    """Bytes of the zlib stream at level 6 (reference zlib; other encoders differ in length)."""
    return len(zlib.compress(raw, 6))


def r_ratio(raw: bytes) -> float:
    """Compressed over plain length, clamped to [0, 1] and rounded; 1.0 for nothing."""
    if not raw:
        return 1.0
    return round9(min(1.0, max(0.0, compressed_len(raw) / len(raw))))


def merkle_root(raw: bytes) -> str:
    """SHA-256 tree over 64-byte chunks; parents hash the hex texts of their children."""
    level = [hashlib.sha256(raw[i : i + CHUNK_BYTES]).hexdigest() for i in range(0, len(raw), CHUNK_BYTES)]
    if not level:
        return NO_LEAVES_ROOT
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [hashlib.sha256((a + b).encode()).hexdigest() for a, b in zip(level[::2], level[1::2])]
    return level[0]


def cells(points, scale: int) -> int:
    """Distinct cells floor(coordinate * scale) over the points."""
    return len({tuple(math.floor(c * scale) for c in point) for point in points})


def direction(generator: SplitMix64, near_half=None):
    """One unit direction, uniform on the sphere, each component rounded to nine decimals."""
    u1 = generator.uniform()
    u2 = generator.uniform()
    z = 2.0 * u1 - 1.0
    phi = 2.0 * math.pi * u2
    rho = math.sqrt(max(0.0, 1.0 - z * z))
    exact = (rho * math.cos(phi), rho * math.sin(phi), z)
    if near_half is not None:
        near_half.extend(abs(abs(c) * 1e9 % 1.0 - 0.5) for c in exact)
    return tuple(round9(c) for c in exact)


def coherence_along(points, v) -> float:
    """The share of points in the fullest of the equal-width bins along one direction."""
    if not points:
        return 1.0
    projected = [x * v[0] + y * v[1] + z * v[2] for x, y, z in points]
    low, high = min(projected), max(projected)
    if high - low < SPREAD_MIN:
        return 1.0
    filled = [0] * BINS
    for p in projected:
        filled[min(BINS - 1, math.floor((p - low) / (high - low) * BINS))] += 1
    return max(filled) / len(projected)


def coherence(points, seed: int, near_half=None):
    """(coh_star, v_star): the best of the sampled directions, the first one on a tie."""
    generator = SplitMix64(seed)
    best, best_v = -1.0, None
    for _ in range(DIRECTIONS):
        v = direction(generator, near_half)
        share = coherence_along(points, v)
        if share > best:
            best, best_v = share, v
    return round9(best), best_v
