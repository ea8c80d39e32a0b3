"""The table of the paper's claims: which comparisons it makes and what it reads for each."""

from collections.abc import Iterable, Iterator

from closerlook.paper.claims import CLAIMS, Claim, paper_grid
from closerlook.paper.suspect import suspects
from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Part, Row, Table, judges_of, names_of

ALWAYS_THERE = "grid.csv"
"""Stands where a comparison reads fewer files than another."""
COLLAPSED = "tables/collapse.csv"
RESPONSES, SHIFT = "cells/{cell}/{evalset}/responses.parquet", "cells/{cell}/{evalset}/shift.parquet"
VERDICTS = "cells/{cell}/{evalset}/verdicts/{judge}.parquet"
BORROWING = "cells/{cell}/{evalset}/borrowing.parquet"
READS = {
    "score": VERDICTS,
    "kl_fall": SHIFT,
    "shifted": SHIFT,
    "length_order": RESPONSES,
    "length_distance": RESPONSES,
    "from_data": BORROWING,
    "beyond_chance": BORROWING,
}
"""By measure, what it reads of either cell; a length also reads the data that the cell was tuned on."""
KEYS = ("claim", "aspect", "judge", "decided_from", "against", "suspect")
JUDGE = "gpt-4-1106-preview"
"""The paper's."""


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
            data = [f"data/{each['cell'].split('/')[1]}.parquet" for each in (row, other)]
            if not claim.measure.startswith("length"):
                data = [ALWAYS_THERE] * 2
            told = {"claim": claim.says, "aspect": claim.aspect, "judge": judge, "decided_from": "ours", "suspect": ""}
            paths = dict(zip(("one", "other", "one_data", "other_data"), (*files, *data), strict=True))
            yield row | told | paths | {"against": _against(row, other), "beside": other}


def _deciders(claim: Claim, row: Row, other: Row) -> list[str]:
    """Who both cells were judged by: judges of a score, markers of spans that were traced; nobody in particular otherwise."""
    if claim.measure == "score":
        return [judge for judge in judges_of(row) if judge in judges_of(other)]
    if READS[claim.measure] == BORROWING:
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


CLAIMS_TABLE: dict[str, Table] = {
    "claims": Table(
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
                "closerlook.report.tables.claims:of_comparisons",
                tuple(metrics.CLAIMS_DECIDED),
                over=comparisons,
                together=(),
                optional=(COLLAPSED,),
            ),
        ),
    )
}
