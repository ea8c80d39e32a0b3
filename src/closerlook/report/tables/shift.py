"""What shift.parquet says in the mean: Figure 1's numbers, and Figure 4's split of sentences."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core.schemas import CLASSES
from closerlook.report.tables import metrics
from closerlook.report.tables.lists import Tokens
from closerlook.report.tables.table import IDENTITY, SHIFT_FILE, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate, ratios

AVERAGED = ("kl_base_tuned", "kl_tuned_base", "base_prob", "base_rank")
ALIGNTDS = ("aligntds_kl_base_tuned", "aligntds_base_prob", "aligntds_base_rank")


def measure_shift(shift: Path) -> Iterator[Measured]:
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


def measure_sentence_parts(shift: Path) -> Iterator[Measured]:
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


SHIFT = Table(
    title="Token-distribution shift by size of the dataset",
    caption=(
        "How far the tuned model's next-token distribution moved from its base's on the tuned model's own greedy responses, "
        "both models seeing the same tokens: means over all response tokens (section 3, Figure 1). Full vocabulary. Base "
        "probability and base rank (from 1; Figure 1 counts from 0) are those of the tuned model's most likely token: "
        "unshifted is rank 1, marginal 2 or 3, shifted above 3. Mean ranks are ruled by few tokens; the geometric mean is "
        "not. AlignTDS is the variant of the published numbers: top 30, renormalised, rank from 0. Controls train nothing "
        "and have no shift."
    ),
    metrics=metrics.SHIFT,
    parts=(Part(IDENTITY, (SHIFT_FILE,), measure_shift, tuple(metrics.SHIFT)),),
)


SENTENCE_PARTS = Table(
    title="KL divergence at the start of sentences and after it",
    caption=(
        "Mean KL divergence over the first 5% and the last 95% of the tokens of each sentence (Figure 4). A sentence of m "
        "tokens has ceil(0.05 m) first tokens, so at least one; the rest are its last 95%. Means are over the tokens of all "
        "sentences together, not over sentences."
    ),
    metrics=metrics.SENTENCE_PART,
    keys=("part",),
    spread=("part",),
    parts=(
        Part(
            IDENTITY,
            (SHIFT_FILE,),
            measure_sentence_parts,
            tuple(metrics.SENTENCE_PART),
            keys={"part": ("first_5pct", "last_95pct")},
        ),
    ),
)
