"""How much more often phrases occur in the instances tuned on than in held-out instances of the same dataset: the excess over
chance, whose interval covers the draw of the responses and of the instances, and an exact p."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from closerlook.report.tables.measuring import shares
from closerlook.stats.bootstrap import Estimate, student

HIGHEST_LEVEL = 0.8
"""Highest level that rates are corrected for: above it, the denominator is small and the corrected rate mostly noise."""


@dataclass(frozen=True)
class PartRates:
    """The rates of parts of a dataset and what each response adds to their errors; the first `tuned` parts were tuned on.

    rates: [parts], phrases found divided by phrases looked up. influence: [parts, responses], of the ratio of sums. has_phrases:
    bool [responses].
    """

    rates: np.ndarray
    influence: np.ndarray
    has_phrases: np.ndarray
    tuned: int

    @classmethod
    def of(cls, tuned: np.ndarray, held_out: np.ndarray) -> "PartRates":
        """From counts [parts, 2, responses], found and looked up. The same phrases are looked up in every part."""
        found, phrases = np.concatenate([tuned[:, 0], held_out[:, 0]]), tuned[0, 1]
        rates = found.sum(axis=1) / phrases.sum()
        influence = (found - rates[:, None] * phrases) / phrases.sum()
        return cls(rates, influence, phrases > 0, len(tuned))

    def minus(self, other: "PartRates") -> "PartRates":
        """The difference of two cells' rates in the same parts. Responses to the same instruction must be in the same column."""
        return PartRates(
            self.rates - other.rates,
            self.influence - other.influence,
            self.has_phrases | other.has_phrases,
            self.tuned,
        )

    @property
    def means(self) -> tuple[float, float]:
        """Mean rates of the parts that were tuned on, and of the others."""
        return float(self.rates[: self.tuned].mean()), float(self.rates[self.tuned :].mean())

    @property
    def several(self) -> slice:
        """The parts of the side that has several; the other side is one part. All held-out parts, if both sides are one."""
        return slice(0, self.tuned) if self.tuned > 1 else slice(self.tuned, None)

    def estimate(
        self, combine: Callable[[float, float], float], gradient: tuple[float, float], n_null: int
    ) -> Estimate:
        """A function of the two means, with a t interval over responses and draws of the dataset.

        gradient: its derivatives by the two means. Given the responses, parts are independent draws with the variance of those of
        the `several` side. Responses vary too, in how much more they borrow from one side. What both explain (which response
        happens to meet which part) is in both variances, and is subtracted once (two-way crossed effects; Owen 2007). Degrees of
        freedom by Satterthwaite 1946. There is no interval of fewer than two responses, or where nothing varies.
        """
        n, a, b = int(self.has_phrases.sum()), self.tuned, len(self.rates) - self.tuned
        value = combine(*self.means)
        if n < 2:
            return Estimate(value, n=n, n_null=n_null)
        weights = gradient[0] ** 2 / a + gradient[1] ** 2 / b
        sides = self.influence[:a].mean(axis=0), self.influence[a:].mean(axis=0)
        responses = float(np.square(gradient[0] * sides[0] + gradient[1] * sides[1]).sum()) * n / (n - 1)
        draws, parts = 0.0, max(a, b)
        if parts > 1:
            of_side = self.influence[self.several]
            draws = float(self.rates[self.several].var(ddof=1)) * weights
            both = float(np.square(of_side - of_side.mean(axis=0)).sum()) / (parts - 1) * weights * n / (n - 1)
            responses = max(0.0, responses - both)
        variance = draws + responses
        if variance == 0:
            return Estimate(value, n=n, n_null=n_null)
        freedom = variance**2 / (draws**2 / max(1, parts - 1) + responses**2 / (n - 1))
        half = student(freedom) * variance**0.5
        return Estimate(value, value - half, value + half, n, n_null)

    def difference(self, n_null: int) -> Estimate:
        """The mean rate of the parts tuned on minus that of the others."""
        return self.estimate(lambda observed, level: observed - level, (1.0, -1.0), n_null)


def exact_p(tuned: np.ndarray, held_out: np.ndarray) -> float:
    """One-sided p of the phrases found in parts that were tuned on, compared with parts of the same size that were not.

    tuned, held_out: int [parts], phrases found. If nothing was learned but the distribution, any of the parts are as likely to be
    those tuned on: p is the share of all choices of as many parts with at least as many phrases. Ties count against the effect.
    """
    found = np.concatenate([tuned, held_out])
    few = min(len(tuned), len(held_out))
    of_choices = found[_choices(len(found), few)].sum(axis=1)
    extreme = of_choices >= tuned.sum() if few == len(tuned) else of_choices <= held_out.sum()
    return float(extreme.mean())


@cache
def _choices(parts: int, chosen: int) -> np.ndarray:
    """All choices of so many parts: [choices, chosen] int64."""
    return np.array(list(combinations(range(parts), chosen)), dtype=np.int64)


def measure_excess(
    tuned: np.ndarray, held_out: np.ndarray, tuned_small: np.ndarray, held_out_small: np.ndarray
) -> dict[str, Estimate]:
    """Rates in both sides, their difference, the corrected rate, p and the number of parts of the side that has several.

    tuned, held_out: [parts, 2, responses], phrases found and looked up; tuned_small, held_out_small: in the smaller parts, which
    p is of. The corrected rate is None above HIGHEST_LEVEL. The intervals of the two rates themselves are over responses alone.
    """
    phrases = tuned[0, 1]
    n, n_null = int((phrases > 0).sum()), int((phrases == 0).sum())
    if not n:
        return {}
    parts = PartRates.of(tuned, held_out)
    rates = shares({"observed": tuned[:, 0].mean(axis=0), "level": held_out[:, 0].mean(axis=0)}, phrases)
    mean, chance = parts.means
    corrected = Estimate(None, n=n, n_null=n_null)
    if chance < HIGHEST_LEVEL:
        gradient = 1 / (1 - chance), -(1 - mean) / (1 - chance) ** 2
        corrected = parts.estimate(lambda o, c: (o - c) / (1 - c), gradient, n_null)
    return rates | {
        "difference": parts.difference(n_null),
        "corrected": corrected,
        "p": Estimate(exact_p(*(each[:, 0].sum(axis=1) for each in (tuned_small, held_out_small))), n=n, n_null=n_null),
        "draws": Estimate(float(max(len(tuned), len(held_out))), n=n, n_null=n_null),
    }
