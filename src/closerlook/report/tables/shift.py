"""Token-distribution shift: Figure 1's means, and Figure 4's split of sentences."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core.schemas import CLASSES
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import Tokens, labeled, means, shares, total
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate

AVERAGED = ("kl_base_tuned", "kl_tuned_base", "base_prob", "base_rank")
ALIGNTDS = ("aligntds_kl_base_tuned", "aligntds_base_prob", "aligntds_base_rank")
DIVERGENCES = ("kl_base_tuned", "kl_tuned_base")


def measure_shift(shift: Path) -> Iterator[Measured]:
    """Means over all response tokens (section 3, definitions 1 to 3), and those of the AlignTDS variant."""
    tokens = Tokens(shift, [*AVERAGED, *ALIGNTDS, "class"])
    classes = tokens["class"]
    sums = {name: tokens.total(tokens[name]) for name in (*AVERAGED, *ALIGNTDS)}
    sums["log_rank"] = tokens.total(np.log(tokens["base_rank"]))
    counts = np.bincount(tokens.owner, minlength=tokens.responses)
    estimates = means(sums, counts) | shares({name: tokens.total(classes == name) for name in CLASSES}, counts)
    estimates["base_rank_geomean"] = _exp(estimates.pop("log_rank"))
    estimates["tokens"] = total(counts)
    yield from labeled({}, estimates)


def measure_sentence_parts(shift: Path) -> Iterator[Measured]:
    """Mean KL over the first 5% and the last 95% of the tokens of each sentence (Figure 4), over the tokens of all sentences."""
    tokens = Tokens(shift, [*DIVERGENCES, "sentence_token", "sentence_length"])
    first = first_tokens(tokens)
    for part, inside in (("first_5pct", first), ("last_95pct", ~first)):
        counts = tokens.total(inside)
        sums = {name: tokens.total(np.where(inside, tokens[name], 0.0)) for name in DIVERGENCES}
        yield from labeled({"part": part}, means(sums, counts) | {"tokens": total(counts)})


def first_tokens(tokens: Tokens) -> np.ndarray:
    """[tokens] bool: the first 5% of each sentence, ceil(0.05 m) of its m tokens."""
    return tokens["sentence_token"] < np.ceil(tokens["sentence_length"] / 20)


def _exp(mean: Estimate) -> Estimate:
    """The geometric mean for a mean of logarithms. exp is monotone, so it maps the ends of the interval too."""
    value, low, high = (None if number is None else float(np.exp(number)) for number in mean[:3])
    return mean._replace(value=value, low=low, high=high)


SHIFT = Table(
    name="shift",
    title="Token-distribution shift by size of the dataset",
    caption=(
        "One row per tuned cell: means over all response tokens of its shift from the base model (Figure 1 of the "
        "paper). Higher KL and a larger share of shifted tokens mean that tuning changed more."
    ),
    metrics=metrics.SHIFT,
    parts=(Part(IDENTITY, (Files.SHIFT,), measure_shift, tuple(metrics.SHIFT)),),
)

SENTENCE_PARTS = Table(
    name="kl_by_sentence_part",
    title="KL divergence at the start of sentences and after it",
    caption=(
        "One row per tuned cell: mean KL divergence over the first 5% and the last 95% of each sentence's tokens "
        "(Figure 4 of the paper). A large fall after the first 5% means that tuning changed mostly how sentences "
        "begin."
    ),
    metrics=metrics.SENTENCE_PART,
    keys=("part",),
    spread=("part",),
    parts=(
        Part(
            IDENTITY,
            (Files.SHIFT,),
            measure_sentence_parts,
            tuple(metrics.SENTENCE_PART),
            keys={"part": ("first_5pct", "last_95pct")},
        ),
    ),
)
