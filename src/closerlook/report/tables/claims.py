"""The paper's claims, decided: which pairs of cells each compares, and whether it holds for them."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from closerlook.core import layout
from closerlook.paper.claims import CLAIMS, Claim, paper_grid
from closerlook.paper.suspect import suspects
from closerlook.report.tables import metrics
from closerlook.report.tables.claim_effects import CLAIM, NUMBERS, Effect, effect_from_files, effect_from_paper
from closerlook.report.tables.collapse import COLLAPSE
from closerlook.report.tables.table import (
    BORROWING_FILE,
    IDENTITY,
    RESPONSES_FILE,
    SHIFT_FILE,
    VERDICTS_FILE,
    MeasuredOf,
    Part,
    Row,
    Table,
    judges_of,
    names_of,
)
from closerlook.report.tables.tidy import read_csv
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.paired_tests import holm

ALWAYS_THERE = layout.GRID_CSV
"""Stands where a comparison reads fewer files than another."""
COLLAPSED = layout.table("collapse")
READS = {
    "score": VERDICTS_FILE,
    "kl_fall": SHIFT_FILE,
    "shifted": SHIFT_FILE,
    "length_order": RESPONSES_FILE,
    "length_distance": RESPONSES_FILE,
    "from_data": BORROWING_FILE,
    "beyond_chance": BORROWING_FILE,
}
"""By measure, what it reads of either cell; a length also reads the data that the cell was tuned on."""
KEYS = ("claim", "aspect", "judge", "decided_from", "against", "suspect")
JUDGE = "gpt-4-1106-preview"
"""The paper's."""
LEVEL = 0.05


def comparisons(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per claim and pair of cells that decides it: this grid's, for scores by each judge; then the paper's."""
    tuned = [
        row | {"size": int(row["size"]), "original": row.get("original", "")}
        for row in grid
        if row["dataset"] and not row.get("ablated")  # the causal test's cells are one dataset again and again
    ]
    for claim in CLAIMS:
        if claim.measure in READS:
            yield from _ours(claim, tuned)
        yield from _papers(claim)


def _ours(claim: Claim, tuned: list[Row]) -> Iterator[Row]:
    for row, other in claim.pairs(tuned):
        for judge in _deciders(claim, row, other):
            files = [READS[claim.measure].format(judge=judge, **each) for each in (row, other)]
            data = [layout.dataset(each["cell"].split("/")[1]) for each in (row, other)]
            if not claim.measure.startswith("length"):
                data = [ALWAYS_THERE] * 2
            told = {"claim": claim.says, "aspect": claim.aspect, "judge": judge, "decided_from": "ours", "suspect": ""}
            paths = dict(zip(("one", "other", "one_data", "other_data"), (*files, *data), strict=True))
            yield row | told | paths | {"against": _against(row, other), "beside": other}


def _deciders(claim: Claim, row: Row, other: Row) -> list[str]:
    """Who both cells were judged by: judges of a score, markers of spans that were traced; nobody in particular otherwise."""
    if claim.measure == "score":
        return [judge for judge in judges_of(row) if judge in judges_of(other)]
    if READS[claim.measure] == BORROWING_FILE:
        traced = names_of(row, "searched")[:1] == names_of(other, "searched")[:1] != []
        return [name for name in names_of(row, "markers") if traced and name in names_of(other, "markers")]
    return [""]


def _papers(claim: Claim) -> Iterator[Row]:
    for row, other in claim.pairs(paper_grid(claim.measure)):
        both = [each["printed"] for each in ([row] if other is row else [row, other])]
        reasons = [f"{one.location}: {reason}" for one in both for reason in suspects().get((one.source, one.row), ())]
        judge = JUDGE if claim.measure == "score" else ""
        told = {"claim": claim.says, "aspect": claim.aspect, "judge": judge, "decided_from": "paper"}
        paths = dict.fromkeys(("one", "other", "one_data", "other_data"), ALWAYS_THERE)
        yield row | told | paths | {"against": _against(row, other), "suspect": "; ".join(reasons), "beside": other}


def _against(row: Row, other: Row) -> str:
    return "" if other is row else other["cell"]


def decide_claims(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Effect, p and Holm's p of every comparison; Holm's correction is over ours and over the paper's, each by itself."""
    effects = [
        effect_from_paper(row) if row["decided_from"] == "paper" else effect_from_files(row, paths)
        for row, paths in cells
    ]
    sides = [_sides(effect, CLAIM[row["claim"]]) for effect, (row, _) in zip(effects, cells, strict=True)]
    twice = [min(1.0, 2 * min(pair)) if pair else None for pair in sides]
    corrected: dict[int, float] = {}
    for family in ("ours", "paper"):
        tested = [i for i, (row, _) in enumerate(cells) if row["decided_from"] == family and twice[i] is not None]
        corrected |= zip(tested, holm([p for i in tested if (p := twice[i]) is not None]), strict=True)
    for i, ((row, paths), effect, pair) in enumerate(zip(cells, effects, sides, strict=True)):
        told = {"version": effect.version, "decided_by": effect.by, "suspect": _suspect(row, paths[-1])}
        keys = told | {"decision": _decision(effect, CLAIM[row["claim"]], pair, corrected.get(i))}
        counts = {"n": effect.estimate.n, "n_null": effect.estimate.n_null}
        yield row, keys, "effect", effect.estimate
        yield row, keys, "p", Estimate(twice[i], **counts)
        yield row, keys, "p_holm", Estimate(corrected.get(i), **counts)


def _sides(effect: Effect, claim: Claim) -> tuple[float, float] | None:
    """One-sided p for the claim and against it; None where there is nothing to test with."""
    value, n = effect.estimate.value, effect.estimate.n
    if value is None or effect.error is None or n < 2:
        return None

    def beyond(distance: float) -> float:
        """Of a distance that is 0 at the bound: how likely so much or more, were the truth at the bound."""
        if not effect.error:  # all instructions agree: a sign test
            return 0.5 if distance == 0 else 0.5**n if distance > 0 else 1 - 0.5**n
        from scipy.stats import t as student  # heavy

        return float(student.sf(distance / effect.error, n - 1))

    if claim.sense == "within":
        return max(beyond(claim.bound - value), beyond(claim.bound + value)), beyond(abs(value) - claim.bound)
    sign = 1 if claim.sense == "more" else -1
    return beyond(sign * (value - claim.bound)), beyond(sign * (claim.bound - value))


def _decision(effect: Effect, claim: Claim, sides: tuple[float, float] | None, p: float | None) -> str:
    value = effect.estimate.value
    if sides and p is not None:
        return "undecided" if p >= LEVEL else "holds" if sides[0] < sides[1] else "does not hold"
    if value is None or effect.by != NUMBERS:
        return "undecided"
    inside = {"more": value > claim.bound, "less": value < claim.bound, "within": abs(value) < claim.bound}
    return "holds" if inside[claim.sense] else "does not hold"


def _suspect(row: Row, collapse: Path) -> str:
    """Which of a row's cells, or of the paper's rows, is not to be trusted, and why."""
    if row["decided_from"] == "paper" or not collapse.exists():
        return str(row["suspect"])
    cells = {each["cell"]: tuple(str(each[name]) for name in IDENTITY) for each in (row, row["beside"])}
    known = _collapsed(collapse)
    return "; ".join(f"{name}: collapsed training" for name, identity in cells.items() if identity in known)


@cache
def _collapsed(path: Path) -> set[tuple[str, ...]]:
    """The identities that the table collapse calls so."""
    rows = read_csv(path, COLLAPSE)
    return {tuple(row[name] for name in IDENTITY) for row in rows if row["metric"] == "collapsed" and row["value"]}


CLAIMS_DECIDED: Table = Table(
    title="The paper's claims, decided",
    caption=(
        "Each finding of the paper as a statement about pairs of cells, decided for each model and dataset from this grid's "
        "files (ours) and from the paper's printed numbers (paper). Ours: the effect is paired by instruction, its interval "
        "and standard error are bootstrapped over instructions, and a t test asks whether it is beyond the claim's bound on "
        "one side or the other (two one-sided tests where the claim is that it lies within plus and minus 0.2). Holds, does "
        "not hold: p below 0.05, corrected over all decisions of ours (Holm); else undecided, and also where fewer than 30 "
        "instructions have what is measured. Paper: the same test, with 0.06 as half of a mean's 95% interval at 800 "
        "instructions, the widest that such means have (0.06 times the root of 800 / 216 at 216), and both means taken as "
        "independent, which makes the test weaker than a paired one; where no uncertainty is known (KL, lengths, origins) "
        "the numbers alone decide. Effects: score of the row's cell less that of the other (against), ours without N/A, the "
        "paper's with N/A as 5; share by which KL falls; difference of the shares of shifted tokens, of marked spans whose "
        "words stand in the data, and of what the latter have above chance (matched phrases, as in the table origin); mean "
        "characters; by how much less SFT's |log(answers' length / data's length)| is than LFT's. Suspect: a cell "
        "whose training collapsed (table collapse), what checks hold against the paper's rows. Significant is not "
        "large: see the effect."
    ),
    metrics=metrics.CLAIMS_DECIDED,
    keys=("claim", "aspect", "judge", "version", "decided_from", "decided_by", "decision", "against", "suspect"),
    unit="instructions",
    tally=(("claim", "decided_from"), "decision"),
    parts=(
        Part(
            (*IDENTITY, *KEYS),
            ("{one}", "{other}", "{one_data}", "{other_data}"),
            decide_claims,
            tuple(metrics.CLAIMS_DECIDED),
            over=comparisons,
            together=(),
            optional=(COLLAPSED,),
        ),
    ),
)
