"""Judging a parsed record: the reason to escalate, and the outcome text.

A pure function of record and parameters.  Never looks at signatures or at earlier outcomes.
"""

from dataclasses import dataclass

from . import signals
from .canonical import quote
from .number_text import shortest


@dataclass(frozen=True)
class Verdict:
    """What verification found, and what it recomputed on the way."""

    reason: str | None
    recomputed_d_hat: float
    recomputed_budget: float
    regime: str

    @property
    def status(self) -> int:
        """200 accepted, 202 escalated."""
        return 202 if self.reason else 200


def verify(record, params=signals.DEFAULTS) -> Verdict:
    """The six steps, in order; the first that objects names the reason."""
    recomputed_d = signals.d_hat(record.scales, record.n_j)
    regime = signals.regime(record.d_hat, record.coh_star, params)
    budget = signals.budget(record.d_hat, record.r, record.coh_star, params)
    reason = None
    if abs(record.d_hat - recomputed_d) > params.tol_d:
        reason = "d_hat_out_of_tolerance"
    elif not 0.0 <= record.coh_star <= 1.0 + params.tol_coh:
        reason = "coh_star_out_of_bounds"
    elif record.regime != regime:
        reason = "regime_mismatch"
    elif abs(record.budget - budget) > params.tol_budget:
        reason = "budget_deviation"
    elif record.degraded:
        reason = "degraded"
    return Verdict(reason, recomputed_d, budget, regime)


def outcome(record, verdict: Verdict, params=signals.DEFAULTS) -> str:
    """The body of a 200 or 202: fixed member order, no spaces, claims unrounded."""
    members = [("pcs_id", quote(record.pcs_id))]
    members.append(("accepted", "false" if verdict.reason else "true"))
    members.append(("escalated", "true" if verdict.reason else "false"))
    if verdict.reason:
        members.append(("reason", quote(verdict.reason)))
    members += [
        ("D_hat", shortest(record.d_hat)),
        ("recomputed_D_hat", shortest(verdict.recomputed_d_hat)),
        ("budget", shortest(record.budget)),
        ("recomputed_budget", shortest(verdict.recomputed_budget)),
        ("regime", quote(verdict.regime)),
        ("params_version", quote(params.version)),
    ]
    return "{" + ",".join('"%s":%s' % member for member in members) + "}"
