"""The paper's claims, decided for each pair of cells that they compare."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from closerlook.core import layout
from closerlook.judge.aspects import SCORES
from closerlook.paper.claims import CLAIMS, Claim, paper_grid
from closerlook.paper.suspect import suspects
from closerlook.report.tables import metrics
from closerlook.report.tables.claim_effects import (
    CLAIM,
    NUMBERS,
    Effect,
    effect_from_files,
    effect_from_paper,
    pool_effects,
)
from closerlook.report.tables.collapse import COLLAPSE
from closerlook.report.tables.pooling import MEAN_OF, of_all_seeds
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.report.tables.tidy import read_csv
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.paired_tests import holm

PLACEHOLDER = layout.GRID
"""An existing file, for comparisons that read fewer files than others."""
COLLAPSED = layout.table("collapse")
READS = {
    "score": Files.VERDICTS,
    "kl_fall": Files.SHIFT,
    "shifted": Files.SHIFT,
    "length_order": Files.RESPONSES,
    "length_distance": Files.RESPONSES,
    "from_data": Files.BORROWING,
    "beyond_chance": Files.BORROWING,
}
"""The file that each measure reads of both cells. Length measures also read the data that the cell was tuned on."""
FILES = ("first_file", "second_file", "first_data", "second_data")
KEYS = ("claim", "aspect", "judge", "decided_from", "against", "suspect")
PAIR = ("model", "dataset", "size", "method", "evalset", *KEYS)
"""What tells comparisons apart. Trainings that differ only in their seed are one comparison."""
JUDGE = "gpt-4-1106-preview"
"""The paper's judge."""
LEVEL = 0.05
LARGEST = float(max(SCORES) - min(SCORES))
"""Largest difference of two scores."""


def comparisons(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per claim and pair of cells: this grid's, for scores by each judge; then the paper's."""
    tuned = [
        row | {"size": int(row["size"]), "original": row["original"]}
        for row in grid
        if row["dataset"] and not row["ablated"]  # the cells of the causal test all have nearly the same data
    ]
    for claim in CLAIMS:
        if claim.measure in READS:
            yield from _grid_comparisons(claim, tuned)
        yield from _paper_comparisons(claim)


def _grid_comparisons(claim: Claim, tuned: list[Row]) -> Iterator[Row]:
    for row, second in claim.pairs(tuned):
        for judge in _judges_of_both(claim, row, second):
            files = [READS[claim.measure].format(judge=judge, **each) for each in (row, second)]
            data = [layout.dataset(each["cell"].split("/")[1]) for each in (row, second)]
            if not claim.measure.startswith("length"):
                data = [PLACEHOLDER] * 2
            keys = {
                "claim": claim.statement,
                "aspect": claim.aspect,
                "judge": judge,
                "decided_from": "ours",
                "suspect": "",
            }
            paths = dict(zip(FILES, (*files, *data), strict=True))
            yield row | keys | paths | {"against": _against(row, second), "second_row": second}


def _judges_of_both(claim: Claim, row: Row, second: Row) -> list[str]:
    """The judges of both cells: of a score, its judges; of traced spans, their markers; else one empty name."""
    if claim.measure == "score":
        return [judge for judge in row["judges"] if judge in second["judges"]]
    if READS[claim.measure] == Files.BORROWING:
        datasets = "held_out" if claim.measure == "beyond_chance" else "searched"
        traced = row[datasets][:1] == second[datasets][:1] != []
        return [name for name in row["markers"] if traced and name in second["markers"]]
    return [""]


def _paper_comparisons(claim: Claim) -> Iterator[Row]:
    for row, second in claim.pairs(paper_grid(claim.measure)):
        printed_rows = [each["printed"] for each in ([row] if second is row else [row, second])]
        reasons = [f"{p.location}: {reason}" for p in printed_rows for reason in suspects().get((p.source, p.row), ())]
        judge = JUDGE if claim.measure == "score" else ""
        keys = {"claim": claim.statement, "aspect": claim.aspect, "judge": judge, "decided_from": "paper"}
        keys |= {"against": _against(row, second), "suspect": "; ".join(reasons)}
        yield row | keys | dict.fromkeys(FILES, PLACEHOLDER) | {"second_row": second}


def _against(row: Row, second: Row) -> str:
    """The name of the second cell, if it is another one, without its seed, which is that of the first."""
    return "" if second is row else str(of_all_seeds({"against": second["cell"]})["against"])


def decide_claims(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Effect, p and Holm's p of every comparison, corrected over ours and over the paper's separately.

    Several trainings of a comparison, which differ only in their seed, are decided together, by their mean.
    """
    comparisons = list(_by_pair(cells))
    effects = [
        pool_effects([effect_from_files(row, paths) for row, paths in trainings])
        if trainings[0][0]["decided_from"] == "ours"
        else effect_from_paper(trainings[0][0])
        for trainings in comparisons
    ]
    rows = [trainings[-1][0] for trainings in comparisons]
    one_sided = [one_sided_p(effect, CLAIM[row["claim"]]) for effect, row in zip(effects, rows, strict=True)]
    two_sided = {i: min(1.0, 2 * min(pair)) for i, pair in enumerate(one_sided) if pair}
    corrected: dict[int, float] = {}
    for family in ("ours", "paper"):
        tested = [i for i in two_sided if rows[i]["decided_from"] == family]
        corrected |= zip(tested, holm([two_sided[i] for i in tested]), strict=True)
    for i, (row, effect, pair) in enumerate(zip(rows, effects, one_sided, strict=True)):
        suspect = "; ".join(filter(None, (_suspect(each, paths[-1]) for each, paths in comparisons[i])))
        keys = {"version": effect.version, "decided_by": effect.by, "suspect": suspect}
        keys["decision"] = decide(effect, CLAIM[row["claim"]], pair, corrected.get(i))
        keys["seed"] = f"{MEAN_OF}{effect.pooled.trainings}" if effect.pooled else row["seed"]
        counts = {"n": effect.estimate.n, "n_null": effect.estimate.n_null}
        yield row, keys, "effect", effect.estimate
        yield row, keys, "p", Estimate(two_sided.get(i), **counts)
        yield row, keys, "p_holm", Estimate(corrected.get(i), **counts)


def _by_pair(cells: list[tuple[Row, list[Path]]]) -> Iterable[list[tuple[Row, list[Path]]]]:
    """The comparisons, each with its trainings; each of the paper's by itself."""
    pairs: dict[tuple[object, ...], list[tuple[Row, list[Path]]]] = {}
    for number, (row, paths) in enumerate(cells):
        key = (*(row[name] for name in PAIR), number if row["decided_from"] == "paper" else "")
        pairs.setdefault(key, []).append((row, paths))
    return pairs.values()


def one_sided_p(effect: Effect, claim: Claim) -> tuple[float, float] | None:
    """One-sided p for the claim and against it; None if there is nothing to test with."""
    value, error, n = effect.estimate.value, effect.error, effect.estimate.n
    pooled = effect.pooled if effect.pooled and effect.pooled.varies else None
    if value is None or error is None or n < 2 or not (pooled or error or claim.measure == "score"):
        return None

    def p_above(bound: float) -> float:
        return pooled.p_above(bound) if pooled else _p_above(value - bound, bound + LARGEST, error, n)

    def p_below(bound: float) -> float:
        return 1 - pooled.p_above(bound) if pooled else _p_above(bound - value, LARGEST - bound, error, n)

    above, below = p_above(claim.bound), p_below(claim.bound)
    if claim.sense == "within":
        return max(below, p_above(-claim.bound)), min(above, p_below(-claim.bound))
    return (above, below) if claim.sense == "more" else (below, above)


def _p_above(distance: float, room: float, error: float, n: int) -> float:
    """Largest p of an effect this far above a bound, if the true effect is at the bound. room: the scale below the bound.

    If all n differences of scores are equal, there is no error to test with. Then a share q of all instructions may still
    differ by the whole scale: at the bound, (1 - q) distance = q room. That none of them is among n has probability (1 - q)^n.
    """
    if error:
        from scipy.stats import t as student  # heavy

        return float(student.sf(distance / error, n - 1))
    return 1.0 if distance <= 0 else (room / (distance + room)) ** n


def decide(effect: Effect, claim: Claim, one_sided: tuple[float, float] | None, p: float | None) -> str:
    """holds, does not hold, or undecided. p: Holm's; without a test, the numbers alone decide where they are all there is."""
    value = effect.estimate.value
    if one_sided and p is not None:
        return "undecided" if p >= LEVEL else "holds" if one_sided[0] < one_sided[1] else "does not hold"
    if value is None or effect.by != NUMBERS:
        return "undecided"
    inside = {"more": value > claim.bound, "less": value < claim.bound, "within": abs(value) < claim.bound}
    return "holds" if inside[claim.sense] else "does not hold"


def _suspect(row: Row, collapse: Path) -> str:
    """Which of a row's cells collapsed, or what is wrong with the paper's rows."""
    if row["decided_from"] == "paper" or not collapse.exists():
        return str(row["suspect"])
    cells = {each["cell"]: tuple(str(each[name]) for name in IDENTITY) for each in (row, row["second_row"])}
    collapsed = _read_collapsed(collapse)
    return "; ".join(f"{name}: collapsed training" for name, identity in cells.items() if identity in collapsed)


@cache
def _read_collapsed(path: Path) -> set[tuple[str, ...]]:
    """The identities that are collapsed according to the table collapse."""
    rows = read_csv(path, COLLAPSE)
    return {tuple(row[name] for name in IDENTITY) for row in rows if row["metric"] == "collapsed" and row["value"]}


CLAIMS_DECIDED: Table = Table(
    name="claims",
    title="The paper's claims, decided",
    caption=(
        "One row per finding of the paper and pair of cells: the effect, and whether the finding holds for it in this "
        "grid (ours) or in the paper's printed numbers (paper). Undecided means that the effect is not significantly "
        "on either side of the finding's bound."
    ),
    metrics=metrics.CLAIMS_DECIDED,
    keys=("claim", "aspect", "judge", "version", "decided_from", "decided_by", "decision", "against", "suspect"),
    unit="instructions",
    tally=(("claim", "decided_from"), "decision"),
    parts=(
        Part(
            PAIR,
            tuple(f"{{{name}}}" for name in FILES),
            decide_claims,
            tuple(metrics.CLAIMS_DECIDED),
            over=comparisons,
            together=(),
            optional=(COLLAPSED,),
        ),
    ),
)
