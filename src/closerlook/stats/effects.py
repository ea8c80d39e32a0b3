"""What is said of an effect, tested: on which side of a bound it is, with which power, and for how many of several effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

from closerlook.stats.bootstrap import Estimate
from closerlook.stats.seeds import Pooled, pool

LEVEL = 0.05
"""Of every test."""
HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"


@dataclass(frozen=True)
class Statement:
    """An effect is said to be `more` than a bound, `less`, or `within` plus or minus it."""

    sense: Literal["more", "less", "within"] = "more"
    bound: float = 0.0

    def is_true_of(self, value: float) -> bool:
        """Whether it is true if this is the effect."""
        if self.sense == "within":
            return abs(value) < self.bound
        return value > self.bound if self.sense == "more" else value < self.bound

    @property
    def has_margin(self) -> bool:
        """Whether it says that an effect is negligible: at 0, it is true."""
        return self.sense == "within" or (self.sense == "less" and self.bound > 0)


class Effect(NamedTuple):
    """An estimated effect, and what tests of it need.

    error: standard error; None: unknown. scale: the largest effect that a single unit can have, if that is known. pooled: if the
    effect is a mean over trainings or over pairs of cells.
    """

    estimate: Estimate
    error: float | None = None
    scale: float | None = None
    pooled: Pooled | None = None

    @property
    def _varies(self) -> bool:
        return self.pooled.varies if self.pooled else bool(self.error)

    @property
    def is_testable(self) -> bool:
        """Whether there is anything to test with."""
        if self.estimate.value is None or self.error is None:
            return False
        return bool(self.pooled and self._varies) or (self.estimate.n > 1 and (self._varies or self.scale is not None))

    def p_above(self, bound: float) -> float:
        """Largest one-sided p of an effect this far above a bound, if the true effect is at the bound."""
        return self._p(bound, 1)

    def p_below(self, bound: float) -> float:
        """The same of an effect below a bound."""
        return self._p(bound, -1)

    def _p(self, bound: float, sign: int) -> float:
        """sign: 1 for above, -1 for below.

        If all n units agree, there is no error to test with. Then a share q of all units may still differ by the whole scale:
        at the bound, (1 - q) distance = q room, where room is the scale beyond the bound. That none of them is among n has
        probability (1 - q)^n.
        """
        value, n = self.estimate.value or 0.0, self.estimate.n
        distance = sign * (value - bound)
        if self.pooled and self._varies:
            above = self.pooled.p_above(bound)
            return above if sign > 0 else 1 - above
        if self._varies:
            from scipy.stats import t as student  # slow to import, and every job imports this module

            return float(student.sf(distance / (self.error or 1.0), n - 1))
        room = (self.scale or 0.0) + sign * bound
        return 1.0 if distance <= 0 else (room / (distance + room)) ** n

    def reach(self, tail: float) -> float:
        """How far it must be from a bound for a one-sided p of `tail`. It must vary."""
        if self.pooled:
            return self.pooled.reach(tail)
        from scipy.stats import t as student

        return float(student.isf(tail, self.estimate.n - 1)) * (self.error or 0.0)


class Sides(NamedTuple):
    """One-sided p for a statement, and against it."""

    supporting: float
    opposing: float


def one_sided(effect: Effect, statement: Statement) -> Sides | None:
    """None if there is nothing to test with. "Within" is tested on both sides (two one-sided tests; Schuirmann 1987)."""
    if not effect.is_testable:
        return None
    above, below = effect.p_above(statement.bound), effect.p_below(statement.bound)
    if statement.sense == "within":
        return Sides(max(below, effect.p_above(-statement.bound)), min(above, effect.p_below(-statement.bound)))
    return Sides(above, below) if statement.sense == "more" else Sides(below, above)


def p_of(sides: Sides | None) -> float | None:
    """The p that decides: below LEVEL where the 95% interval is on one side of the bound, or between both bounds.

    A test of equivalence could be at 5% on each side. Differences of scores are too skewed for that: where 5% of the answers
    differ by the whole scale, it would find equivalence at the bound in 9% of samples.
    """
    return min(1.0, 2 * min(sides)) if sides else None


def decide(sides: Sides | None, p: float | None) -> str:
    """HOLDS, FAILS or UNDECIDED. p: of `p_of`, maybe corrected."""
    if sides is None or p is None or p >= LEVEL:
        return UNDECIDED
    return HOLDS if sides.supporting < sides.opposing else FAILS


def power(effect: Effect, statement: Statement) -> float | None:
    """The probability that an effect measured as precisely as this one shows a statement with a margin, if the true one is 0.

    None for other statements, and where there is no standard error. The effect's distribution is taken as normal.
    """
    error = effect.pooled.error if effect.pooled else effect.error
    if not statement.has_margin or not effect.is_testable or not error:
        return None
    below = NormalDist().cdf((statement.bound - effect.reach(LEVEL / 2)) / error)
    return max(0.0, 2 * below - 1) if statement.sense == "within" else below


def decide_share(decisions: Sequence[str], share: float) -> str:
    """Whether a statement is true of at least a share of several effects, from the decision on each after Holm's correction.

    Holm's number of effects for which it holds is a lower bound, at 95% confidence, of the number for which it is true (partial
    conjunction; Benjamini and Heller 2008); and so for those for which it does not hold.
    """
    if decisions and decisions.count(HOLDS) >= share * len(decisions):
        return HOLDS
    return FAILS if decisions.count(FAILS) > (1 - share) * len(decisions) else UNDECIDED


def pool_effects(effects: Sequence[Effect]) -> Effect:
    """The mean of several effects. It has no error if one of them has none; of a single one, it is that one; of none, empty."""
    pooled = pool([effect.estimate for effect in effects])
    if pooled is None:
        return effects[-1] if effects else Effect(Estimate(None))
    error = None if any(effect.error is None for effect in effects) else 0.0
    return Effect(pooled.estimate, error, effects[0].scale, pooled)
