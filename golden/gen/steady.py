"""The slope again in 60 decimal digits: a slower twin that no machine's logarithm can bend.

Vectors whose ninth decimal the two disagree on are refused when the tree is made.
"""

import decimal


def d_hat(scales, counts):
    """The same slope in 60 decimal digits, so that the doubles cannot have decided the ninth one."""
    with decimal.localcontext(decimal.Context(prec=60)):
        xs = [decimal.Decimal(s).ln() for s in scales]
        ys = [decimal.Decimal(max(1, counts[s])).ln() for s in scales]
        usable = decimal.Decimal("1e-9") * decimal.Decimal(2).ln()
        found = sorted(
            (ys[j] - ys[i]) / (xs[j] - xs[i])
            for i in range(len(xs))
            for j in range(i + 1, len(xs))
            if abs(xs[j] - xs[i]) >= usable
        )
        middle = found[len(found) // 2] if found else decimal.Decimal(0)
        return float(middle.quantize(decimal.Decimal("1e-9"), decimal.ROUND_HALF_UP))
