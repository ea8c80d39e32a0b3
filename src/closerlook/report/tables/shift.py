"""What shift.parquet says in the mean: Figure 1's numbers, and Figure 4's split of sentences."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from closerlook.core.schemas import CLASSES
from closerlook.report.tables.lists import Tokens
from closerlook.stats.bootstrap import Estimate, ratios

Measured = tuple[Mapping[str, object], str, Estimate]
"""Values of the table's key columns, the metric's name, the value."""

AVERAGED = ("kl_base_tuned", "kl_tuned_base", "base_prob", "base_rank")
ALIGNTDS = ("aligntds_kl_base_tuned", "aligntds_base_prob", "aligntds_base_rank")


def by_cell(shift: Path) -> Iterator[Measured]:
    """Means over all response tokens (section 3, definitions 1 to 3) and the AlignTDS variant's."""
    tokens = Tokens(shift, [*AVERAGED, *ALIGNTDS, "class"])
    classes = tokens["class"]
    sums = {name: tokens.total(tokens[name]) for name in (*AVERAGED, *ALIGNTDS)}
    sums |= {name: tokens.total(classes == name) for name in CLASSES}
    sums["log_rank"] = tokens.total(np.log(tokens["base_rank"]))
    counts = np.bincount(tokens.owner, minlength=tokens.responses)
    means = dict(zip(sums, ratios(np.column_stack(list(sums.values())), counts[:, None]), strict=True))
    means["base_rank_geomean"] = _exp(means.pop("log_rank"))
    means["tokens"] = _total(counts)
    for name, mean in means.items():
        yield {}, name, mean


def by_sentence_part(shift: Path) -> Iterator[Measured]:
    """Mean KL over the first 5% and the last 95% of the tokens of each sentence (Figure 4).

    A sentence of m tokens has ceil(0.05 m) first tokens. The mean is over tokens, all sentences together.
    """
    divergences = ("kl_base_tuned", "kl_tuned_base")
    tokens = Tokens(shift, [*divergences, "sentence_token", "sentence_length"])
    first = tokens["sentence_token"] < np.ceil(tokens["sentence_length"] / 20)
    for part, inside in (("first_5pct", first), ("last_95pct", ~first)):
        counts = tokens.total(inside)
        sums = [tokens.total(np.where(inside, tokens[name], 0.0)) for name in divergences]
        for name, mean in zip(divergences, ratios(np.column_stack(sums), counts[:, None]), strict=True):
            yield {"part": part}, name, mean
        yield {"part": part}, "tokens", _total(counts)


def _exp(mean: Estimate) -> Estimate:
    """Mean of logarithms to geometric mean; exp is monotone, so the interval's ends go along."""
    value, low, high = (None if number is None else float(np.exp(number)) for number in mean[:3])
    return mean._replace(value=value, low=low, high=high)


def _total(counts: np.ndarray) -> Estimate:
    """The number of tokens there are, and how many responses have any."""
    filled = int(np.count_nonzero(counts))
    return Estimate(float(counts.sum()), n=filled, n_null=len(counts) - filled)
