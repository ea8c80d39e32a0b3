"""The paper's findings as statements about pairs of cells.

A claim names the pairs of cells of a grid that it is about, what is measured of a pair (its effect), and what is said of the
effect. The same pairs are found among the paper's own rows (`paper_grid`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from closerlook.paper import pairs as of
from closerlook.paper.mapping import MODELS
from closerlook.paper.pairs import Pairs
from closerlook.paper.reference import ASPECTS, printed
from closerlook.stats.effects import Statement

Row = dict[str, Any]
Measure = Literal[
    "score",
    "benchmark",
    "kl_fall",
    "shifted",
    "copied",
    "length_order",
    "length_distance",
    "spans",
    "from_data",
    "beyond_chance",
    "similar",
    "cause",
]
"""What is measured of a pair, of the first minus that of the second.

score: mean score.
benchmark: accuracy; of texts, log-probability per token.
kl_fall: by what share the mean KL falls after the first 5% of a sentence's tokens.
shifted: share of shifted tokens.
copied, of one cell: share of words beginning with a shifted token which its data contain, minus that in instances of the same
    dataset that were not tuned on.
length_order: mean response length after the dataset with the longer responses, minus that after the other.
length_distance: |log ratio of mean response length to the dataset's|, second minus first.
spans: hallucinated spans per response.
from_data: share of hallucinated phrases that come from the instruction data.
beyond_chance: the same, with each share reduced by that in instances that were not tuned on.
similar: share of hallucinated phrases that the instances most similar to the instruction contain, minus that of those similar to
    other instructions.
cause: share of hallucinated spans that return after tuning without other instances, minus that without half of their sources.
"""


MORE = Statement()


@dataclass(frozen=True)
class Claim:
    """A statement about pairs of cells.

    finding: the number of the paper's finding that it belongs to (1 to 4: sections 3 to 6), or "abstract". text: as printed.
    says: what is said of the effect of a pair. aspect: of a score; else empty.
    share: if it is said of a share of all pairs, not of their mean.
    """

    finding: str
    text: str
    measure: Measure
    pairs: Pairs
    says: Statement = MORE
    aspect: str = ""
    share: float | None = None


SCORE_MARGIN = 0.2
"""A difference of mean scores, from 1 to 5, that is negligible: one answer in five differs by one point. It is 0.15 to 0.25
standard deviations of the recorded scores; Cohen (1988) calls 0.2 small."""
ACCURACY_MARGIN = 0.02
"""The same of accuracy on a benchmark, and of nats per token of a text."""
CONSISTENTLY = 0.9
"""The share of pairs of which the abstract's claim must be true."""
NOT_MORE, HARDLY, LESS = Statement("less", SCORE_MARGIN), Statement("within", SCORE_MARGIN), Statement("less")
NOT_MORE_RIGHT = Statement("less", ACCURACY_MARGIN)


def _of_scores(
    finding: str,
    text: str,
    pairs: Pairs,
    says: Statement = MORE,
    aspects: Sequence[str] = ("factuality", "helpfulness"),
    share: float | None = None,
) -> list[Claim]:
    return [Claim(finding, text.format(aspect=aspect), "score", pairs, says, aspect, share) for aspect in aspects]


_FACTUALITY = ("factuality",)

_LFT, _SFT = of.of_cells(of.over_base("lft")), of.of_cells(of.over_base("sft"))
_LARGEST, _DATA = of.largest_against_smallest("lft"), "hallucinations than of LFT's come from the data"

CLAIMS: tuple[Claim, ...] = (
    # Section 3: instruction tuning is no knowledge enhancer
    *_of_scores("1", "LFT has no more {aspect} than its base model", of.over_base("lft"), NOT_MORE, _FACTUALITY),
    *_of_scores("1", "SFT has no more {aspect} than its base model", of.over_base("sft"), NOT_MORE, _FACTUALITY),
    *_of_scores("1", "SFT has less {aspect} than its base model", of.over_base("sft"), LESS, _FACTUALITY),
    Claim("1", "LFT is no better on benchmarks than its base model", "benchmark", _LFT, NOT_MORE_RIGHT),
    Claim("1", "SFT is no better on benchmarks than its base model", "benchmark", _SFT, NOT_MORE_RIGHT),
    Claim("1", "SFT is worse on benchmarks than its base model", "benchmark", _SFT, LESS),
    *_of_scores("1", "LFT has more {aspect} than SFT on the same data", of.same_data("lft", "sft")),
    *_of_scores(
        "1",
        "LFT on the smallest subset has more {aspect} than SFT on the largest",
        of.smallest_against_largest("lft", "sft"),
    ),
    *_of_scores(
        "1", "LFT has no more {aspect} on the largest subset than on the smallest", _LARGEST, NOT_MORE, ASPECTS
    ),
    *_of_scores(
        "1", "LFT's {aspect} hardly differs between the largest subset and the smallest", _LARGEST, HARDLY, ASPECTS
    ),
    Claim(
        "1", "LFT's KL falls more after the first 5% of a sentence than SFT's", "kl_fall", of.same_data("lft", "sft")
    ),
    Claim("1", "SFT shifts more tokens than LFT on the same data", "shifted", of.same_data("sft", "lft")),
    # Section 4: pattern copying
    Claim("2", "LFT's shifted words are in its data more often than by chance", "copied", of.single_cells("lft")),
    Claim("2", "SFT's shifted words are in its data more often than by chance", "copied", of.single_cells("sft")),
    Claim(
        "2", "SFT on the dataset with longer responses gives longer answers", "length_order", of.dataset_pairs("sft")
    ),
    Claim(
        "2",
        "SFT's answers are nearer in length to the data's than LFT's",
        "length_distance",
        of.same_data("sft", "lft"),
    ),
    *_of_scores(
        "2", "Simplified responses in the data raise {aspect}", of.simplified_against_original, aspects=_FACTUALITY
    ),
    # Section 5: hallucination by borrowing
    Claim("3", "SFT hallucinates more spans per response than its base model", "spans", of.over_base("sft")),
    Claim(
        "3", "SFT hallucinates more spans per response than LFT on the same data", "spans", of.same_data("sft", "lft")
    ),
    Claim("3", f"More of SFT's {_DATA}", "from_data", of.same_data("sft", "lft")),
    Claim("3", f"More of SFT's {_DATA} beyond chance", "beyond_chance", of.same_data("sft", "lft")),
    Claim(
        "3",
        "More of SFT's hallucinations than of its base model's are in similar instances",
        "similar",
        of.over_base("sft"),
    ),
    Claim(
        "3", "Leaving out half of their sources removes more of SFT's hallucinations", "cause", of.without_half("sft")
    ),
    # Section 6: methods to improve instruction tuning
    *_of_scores(
        "4", "NEFTune and SFT on improved data have no more {aspect} than LFT", of.improvements("lft"), NOT_MORE
    ),
    *_of_scores("4", "NEFTune and SFT on improved data have more {aspect} than plain SFT", of.improvements("sft")),
    # The abstract's conclusion
    *_of_scores(
        "abstract",
        "LFT consistently has more {aspect} than tuning all parameters",
        of.over_full_tuning,
        share=CONSISTENTLY,
    ),
)

_KINDS = {"score": "aspects", "kl_fall": "kl", "length_order": "lengths", "from_data": "origin"}
"""The kind of printed rows that has a measure; the paper prints no other measure, and nothing of untuned base models."""
_SIMPLIFIED = {"lima-simple": "lima"}


def paper_grid(measure: Measure) -> list[Row]:
    """The paper's tuned cells with a printed measure, as rows of a grid; `printed` is the printed row."""
    rows: list[Row] = []
    for row in printed():
        if row.kind == _KINDS.get(measure) and row.dataset and row.method:
            cell = f"{MODELS[row.model]}/{{}}@{row.size}/{row.method}"
            original = cell.format(_SIMPLIFIED[row.dataset]) if row.dataset in _SIMPLIFIED else ""
            keys = {
                "model": MODELS[row.model],
                "dataset": row.dataset,
                "size": row.size,
                "method": row.method,
                "seed": 0,
            }
            keys |= {"cell": cell.format(row.dataset), "evalset": row.evalset, "original": original}
            rows.append(keys | {"printed": row})
    return rows
