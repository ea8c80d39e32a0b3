"""The paper's claims: one answer for each, from all pairs of cells that it is about, and the decision on each pair."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from closerlook.core import layout
from closerlook.core.grouping import grouped
from closerlook.paper.claims import CLAIMS, Claim, paper_grid
from closerlook.paper.suspect import implausible
from closerlook.report.tables import metrics
from closerlook.report.tables.claim_effects import (
    CLAIM,
    NUMBERS,
    PairEffect,
    effect_from_files,
    effect_from_paper,
)
from closerlook.report.tables.claim_measures import READINGS, names_of
from closerlook.report.tables.collapse import COLLAPSE
from closerlook.report.tables.pooling import MEAN_OF, of_all_seeds
from closerlook.report.tables.table import IDENTITY, MeasuredOf, Part, Row, Table
from closerlook.report.tables.tidy import read_csv
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.effects import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Effect,
    decide,
    decide_share,
    one_sided,
    p_of,
    pool_effects,
    power,
)
from closerlook.stats.paired_tests import holm

COLLAPSED = layout.table("collapse")
FILES = ("first_file", "second_file", "first_other", "second_other")
FAMILY = ("claim", "judge", "decided_from")
"""Tests of one claim are corrected together: by each judge, of this grid and of the paper's numbers."""
KEYS = ("scope", "finding", "claim", "judge", "decided_from", "against", "suspect")
PAIR = (*(name for name in IDENTITY if name != "seed"), *KEYS)
"""What tells rows apart. Trainings that differ only in their seed are one pair."""
ALL, ONE = "all pairs", "pair"
OURS, PAPER = "ours", "paper"
LEFT_OUT = "left out"
IF_PRECISE = "{} if precise"
JUDGE = "gpt-4-1106-preview"
"""The paper's judge."""

Trainings = list[tuple[Row, list[Path]]]


def comparisons(grid: Iterable[Row]) -> Iterator[Row]:
    """For each claim, judge and source of numbers a row for the answer, then one for each pair of cells.

    The paper's numbers come after those of this grid, and only if the preset asks for them.
    """
    rows = list(grid)
    cells = [row | {"size": int(row["size"]) if row["size"] else ""} for row in rows]
    plain = [row for row in cells if not row["ablated"]]  # those of the causal test all have nearly the same data
    asked = any(row["paper_claims"] for row in rows)
    for claim in CLAIMS:
        pairs = [
            *_grid_pairs(claim, cells if claim.measure == "cause" else plain),
            *(_paper_pairs(claim) if asked else ()),
        ]
        for (_, judge, source), family in grouped(pairs, FAMILY).items():
            first = family[0] | dict.fromkeys(FILES, layout.GRID) | dict.fromkeys(PAIR, "") | {"seed": ""}
            names = {"scope": ALL, "finding": claim.finding, "claim": claim.text}
            yield first | names | {"judge": judge, "decided_from": source}
            yield from family


def _grid_pairs(claim: Claim, cells: list[Row]) -> Iterator[Row]:
    reading = READINGS[claim.measure]
    for row, second in claim.pairs(cells):
        for name in names_of(claim.measure, row, second):
            paths = [
                template.format(judge=name, marker=name, task=name, subset=str(each["cell"]).split("/")[1], **each)
                for template in (reading.file, reading.other)
                for each in (row, second)
            ]
            yield row | dict(zip(FILES, paths, strict=True)) | _keys(claim, name, OURS, row, second)


def _paper_pairs(claim: Claim) -> Iterator[Row]:
    judge = JUDGE if claim.measure == "score" else ""
    for row, second in claim.pairs(paper_grid(claim.measure)):
        both = [each["printed"] for each in ([row] if second is row else [row, second])]
        reasons = [f"{p.location}: {reason}" for p in both for reason in implausible().get((p.source, p.row), ())]
        keys = _keys(claim, judge, PAPER, row, second) | {"suspect": "; ".join(reasons)}
        yield row | dict.fromkeys(FILES, layout.GRID) | keys


def _keys(claim: Claim, judge: str, source: str, row: Row, second: Row) -> Row:
    """against: the name of the second cell, if it is another one, without its seed, which is that of the first."""
    against = "" if second is row else str(of_all_seeds({"against": second["cell"]})["against"])
    keys = {"scope": ONE, "finding": claim.finding, "claim": claim.text, "judge": judge, "decided_from": source}
    return keys | {"against": against, "suspect": "", "aspect": claim.aspect, "second_row": second}


class Pair(NamedTuple):
    """A pair of cells: its row, what is measured of it, and why it is left out, if it is."""

    row: Row
    measured: PairEffect
    suspect: str


def decide_claims(cells: Trainings) -> Iterator[MeasuredOf]:
    """The answer to every claim from all its pairs that are not suspect, and the decision on every pair.

    Several trainings of a pair, which differ only in their seed, are decided together, by their mean.
    """
    families: dict[tuple[object, ...], Trainings] = {}
    for row, paths in cells:
        families.setdefault(tuple(row[name] for name in FAMILY), []).append((row, paths))
    for family in families.values():
        answer = next(row for row, _ in family if row["scope"] == ALL)
        pairs = [_pair(trainings) for trainings in _by_pair(family)]
        claim, kept = CLAIM[answer["claim"]], [pair for pair in pairs if not pair.suspect]
        corrected = _holm([pair.measured.effect for pair in kept], claim)
        precise = _holm([pair.measured.precise or pair.measured.effect for pair in kept], claim)
        decisions = [
            _decision(pair.measured, claim, p, p_precise)
            for pair, p, p_precise in zip(kept, corrected, precise, strict=True)
        ]
        yield from _answer(answer, claim, pairs, kept, decisions)
        after = iter(zip(decisions, corrected, strict=True))
        for pair in pairs:
            yield from _decided(pair, claim, *((LEFT_OUT, None) if pair.suspect else next(after)))


def _by_pair(family: Trainings) -> Iterable[Trainings]:
    """The pairs of a claim, each with its trainings; each of the paper's by itself."""
    pairs: dict[tuple[object, ...], Trainings] = {}
    for number, (row, paths) in enumerate(family):
        if row["scope"] == ONE:
            key = (*(row[name] for name in PAIR), number if row["decided_from"] == PAPER else "")
            pairs.setdefault(key, []).append((row, paths))
    return pairs.values()


def _pair(trainings: Trainings) -> Pair:
    row = trainings[-1][0]
    if row["decided_from"] == PAPER:
        return Pair(row, effect_from_paper(row), str(row["suspect"]))
    measured = effect_from_files(trainings)
    if pooled := measured.effect.pooled:
        row = row | {"seed": f"{MEAN_OF}{pooled.trainings}"}
    return Pair(row, measured, "; ".join(dict.fromkeys(filter(None, (_collapsed(*each) for each in trainings)))))


def _holm(effects: list[Effect], claim: Claim) -> list[float | None]:
    """Holm's p of each effect, over all of them; None where there is nothing to test with."""
    p_values = [p_of(one_sided(effect, claim.says)) for effect in effects]
    corrected = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(corrected) for p in p_values]


def _decision(measured: PairEffect, claim: Claim, p: float | None, p_precise: float | None) -> str:
    """Where the error is known within a range only, what its largest value shows, or "if precise" what its smallest does."""
    effect, value = measured.effect, measured.effect.estimate.value
    if measured.by == NUMBERS and value is not None:
        return HOLDS if claim.says.is_true_of(value) else FAILS
    decision = decide(one_sided(effect, claim.says), p)
    if decision == UNDECIDED and measured.precise:
        precise = decide(one_sided(measured.precise, claim.says), p_precise)
        return precise if precise == UNDECIDED else IF_PRECISE.format(precise)
    return decision


def _decided(pair: Pair, claim: Claim, decision: str, p_holm: float | None) -> Iterator[MeasuredOf]:
    effect, by, version, _ = pair.measured
    keys = {"version": version, "decided_by": by, "suspect": pair.suspect, "decision": decision}
    keys["seed"] = pair.row["seed"]
    counts = {"n": effect.estimate.n, "n_null": effect.estimate.n_null}
    yield pair.row, keys, "effect", effect.estimate
    yield pair.row, keys, "p", Estimate(p_of(one_sided(effect, claim.says)), **counts)
    yield pair.row, keys, "p_holm", Estimate(p_holm, **counts)
    if claim.says.has_margin:
        yield pair.row, keys, "power", Estimate(power(effect, claim.says), **counts)


def _answer(row: Row, claim: Claim, pairs: list[Pair], kept: list[Pair], decisions: list[str]) -> Iterator[MeasuredOf]:
    """The mean effect over pairs that are not suspect, its test, how much pairs differ, and how many decide which way.

    Pairs with too few instructions for an error are counted, but not in the mean.
    """
    tested = [pair.measured for pair in kept if pair.measured.by == NUMBERS or pair.measured.effect.error is not None]
    tested = tested or [pair.measured for pair in kept]
    effect, precise = (pool_effects([_with_numbers(each, which) for each in tested]) for which in (False, True))
    if claim.share is not None:
        decision, by = decide_share(decisions, claim.share), f"{claim.share:.0%} of {len(kept)} pairs"
    else:
        decision = _decide_mean(effect, precise, claim)
        by = f"mean of {len(tested)} pairs" if len(tested) > 1 else "one pair"
    versions = " / ".join(dict.fromkeys(pair.measured.version for pair in kept))
    keys = {"version": versions, "decided_by": by if kept else "", "decision": decision if kept else ""}
    n = {"n": effect.estimate.n, "n_null": effect.estimate.n_null}
    yield row, keys, "mean_effect", effect.estimate
    yield row, keys, "mean_p", Estimate(p_of(one_sided(effect, claim.says)), **n)
    if claim.says.has_margin:
        yield row, keys, "mean_power", Estimate(power(effect, claim.says), **n)
    if effect.pooled and len(tested) > 1:
        yield row, keys, "spread", Estimate(effect.pooled.spread, **n)
    counts = {"pairs": len(pairs), "pairs_hold": decisions.count(HOLDS), "pairs_fail": decisions.count(FAILS)}
    counts["pairs_undecided"] = len(kept) - counts["pairs_hold"] - counts["pairs_fail"]
    counts["pairs_left_out"] = len(pairs) - len(kept)
    yield from ((row, keys, name, Estimate(float(count), **n)) for name, count in counts.items())


def _with_numbers(measured: PairEffect, precise: bool) -> Effect:
    """The effect of a pair. A number without an uncertainty of its own is one of those whose spread their mean is tested with."""
    effect = measured.precise if precise and measured.precise else measured.effect
    return effect._replace(error=0.0) if measured.by == NUMBERS else effect


def _decide_mean(effect: Effect, precise: Effect, claim: Claim) -> str:
    for found, form in ((effect, "{}"), (precise, IF_PRECISE)):
        sides = one_sided(found, claim.says)
        decision = decide(sides, p_of(sides))
        if decision != UNDECIDED:
            return form.format(decision)
    return UNDECIDED


def _collapsed(row: Row, paths: list[Path]) -> str:
    """Which of a row's cells collapsed, according to the table collapse, if it is there."""
    if not paths[-1].exists():
        return ""
    known = IDENTITY if row["evalset"] else IDENTITY[:-1]  # a benchmark's pair has no evalset: any counts
    cells = {each["cell"]: tuple(str(each[name]) for name in known) for each in (row, row["second_row"])}
    collapsed = {identity[: len(known)] for identity in _read_collapsed(paths[-1])}
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
        "One row per claim: the mean effect over all pairs of cells that it is about, and whether the claim holds for it, "
        "in this grid (ours) or in the paper's printed numbers (paper); then one row per pair. Undecided: the effect is not "
        "significantly on either side of the claim's bound."
    ),
    metrics=metrics.CLAIMS_DECIDED,
    keys=(*KEYS[:4], "version", "decided_from", "decided_by", "decision", "against", "suspect"),
    unit="instructions",
    sections={
        "The answers": tuple(name for name in metrics.CLAIMS_DECIDED if metrics.CLAIMS_DECIDED[name].headline),
        "Every pair": tuple(name for name in metrics.CLAIMS_DECIDED if not metrics.CLAIMS_DECIDED[name].headline),
    },
    parts=(
        Part(
            PAIR,
            tuple(f"{{{name}}}" for name in FILES),
            decide_claims,
            ("effect",),
            controls=True,
            over=comparisons,
            together=(),
            optional=(COLLAPSED,),
        ),
    ),
)
