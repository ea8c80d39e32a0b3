"""The causal test: which spans return in models that were tuned without the instances that they were traced to?"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.config.derived import ARMS
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import share_of
from closerlook.report.tables.pooling import mean_over, trained
from closerlook.report.tables.selection import ablated
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.spans.inputs import words_only
from closerlook.stats.bootstrap import Estimate, Ratio
from closerlook.stats.seeds import contrast

SIDES = ("base", "again", *ARMS)
"""The untuned model, other trainings on the same data, and trainings without some of it."""
TREATED = {"traced": ("again", "half", "similar", "other"), "half": ("again", "similar", "other")}
"""The arms without sources, with what each is compared with."""
ANY = "any"

Report = dict[str, Any]
"""A report of closerlook.derive.ablate: characters_left_out, and `sampled`, the spans with what was left out for each."""


def measure_ablation(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """How many sampled spans return in each kind of model, all and by who says them anyway, and how the kinds differ.

    cells: the models of one test (see `selection.ablated`), each with a report that has the sample, and its responses.
    """
    cell = cells[0][0]
    reports = {row["side"]: _read_report(report) for row, (report, _) in cells}
    spans = reports[cell["side"]]["sampled"]
    if len({json.dumps([_span(span) for span in report["sampled"]]) for report in reports.values()}) > 1:
        raise CloserlookError(f"{cells[0][1][0]}: samples other spans than its controls; make the datasets again")
    said: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {side: [] for side in SIDES}
    for row, (_, responses) in cells:
        said[row["side"]].append(returned(spans, responses))
    said = {side: trainings for side, trainings in said.items() if trainings}
    units = units_of(spans)
    for group, members in _groups(said, cell["alternatives"]).items():
        sides = [side for side in said if group == ANY or side in ARMS or (side, group) == ("again", "base")]
        found = {side: [share_of(same, units, members) for same, _ in said[side]] for side in sides}
        for side, trainings in found.items():
            keys = {"side": side, "said_by": group, "seed": "" if side == "base" else trained(len(trainings))}
            yield cell, keys, "returned", mean_over(trainings)
            if group == ANY:
                elsewhere = [share_of(other, units, members) for _, other in said[side]]
                yield cell, keys, "elsewhere", mean_over(elsewhere)
                yield from ((cell, keys, *measured) for measured in _doses(side, reports, len(set(units))))
            yield cell, keys, "spans", Estimate(float(members.sum()), n=len(set(units[members])))
        for treated, controls in TREATED.items():
            for side in (side for side in controls if {side, treated} <= found.keys()):
                yield from _difference(cell, group, side, treated, found)


def returned(spans: Sequence[Mapping[str, Any]], responses: Path) -> tuple[np.ndarray, np.ndarray]:
    """For each span: 1.0 if the response to its instruction contains its words; the share of other responses that do."""
    texts = {id_: words_only(text) for id_, text in read_by_id(responses, "text").items()}
    same, other = [], []
    for span in spans:
        if span["id"] not in texts:
            raise CloserlookError(f"{responses}: has no response to {span['id']}; generate it again")
        phrase = words_only(span["quote"])
        contains = {id_: phrase in text for id_, text in texts.items()}
        same.append(contains.pop(span["id"]))
        other.append(np.mean(list(contains.values())) if contains else np.nan)
    return np.array(same, dtype=np.float64), np.array(other, dtype=np.float64)


def units_of(spans: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The value of each span, as a number: spans with the same words are one, and so are those in the same response: [spans]."""
    unit = list(range(len(spans)))
    for name_of in (lambda span: span["id"], lambda span: words_only(span["quote"])):
        first: dict[str, int] = {}
        for number, span in enumerate(spans):
            one, other = unit[first.setdefault(name_of(span), number)], unit[number]
            unit = [one if each == other else each for each in unit]
    return np.unique(unit, return_inverse=True)[1]


def _groups(said: Mapping[str, list[tuple[np.ndarray, np.ndarray]]], alternatives: int) -> dict[str, np.ndarray]:
    """All spans, and those that the base says, that only other trainings on the same data say, and that neither does: [spans].

    They are not told apart if an alternative has no responses: a span that it says would pass for one of the others.
    """
    everyone = {side: [same for same, _ in said.get(side, ())] for side in ("base", "again")}
    (some, _), *_ = next(iter(said.values()))
    groups = {ANY: np.ones(len(some), bool)}
    if alternatives and sum(map(len, everyone.values())) == alternatives:
        unsaid = groups[ANY]
        for side, models in everyone.items():
            if models:
                groups[side] = unsaid & (np.max(models, axis=0) > 0)
                unsaid = unsaid & ~groups[side]
        groups["own"] = unsaid
    return {name: members for name, members in groups.items() if members.any()}


def _difference(
    cell: Row, group: str, side: str, treated: str, found: Mapping[str, list[Ratio]]
) -> Iterator[MeasuredOf]:
    """How much more often spans return on a side than after leaving out what they were traced to, or half of it."""
    estimate, p = contrast(found[side], found[treated])
    seed = trained(len(found[side]), len(found[treated]))
    keys = {"side": f"{side} - {treated}", "said_by": group, "seed": seed}
    yield cell, keys, "returned", estimate
    yield cell, keys, "p", Estimate(p, n=estimate.n, n_null=estimate.n_null)


def _doses(side: str, reports: Mapping[str, Report], n: int) -> Iterator[tuple[str, Estimate]]:
    """What was left out, and how many instances still state a span's words; the base was tuned on none."""
    report = reports[side]
    stated = [0 if side == "base" else span[f"stated_{_WHEN[side in ARMS]}"] for span in report["sampled"]]
    yield "stated", Estimate(float(np.mean(stated)), n=n)
    if side in ARMS:
        similarities = [value for span in report["sampled"] for value in span["similarity"]]
        yield "instances", Estimate(float(len(similarities)), n=n)
        yield "characters", Estimate(report["characters_left_out"], n=n)
        yield "similarity", Estimate(float(np.mean(similarities)), n=n)


_WHEN = ("before", "after")


def _span(span: Mapping[str, Any]) -> list[Any]:
    return [span[name] for name in ("id", "start", "end", "quote")]


def _read_report(report: Path) -> Report:
    try:
        facts: Report = json.loads(report.read_text(encoding="utf-8"))
        valid = bool(facts["sampled"]) and facts["characters_left_out"] >= 0
        valid = valid and all([_span(span), span["similarity"], span["stated_before"]] for span in facts["sampled"])
    except (ValueError, KeyError, TypeError) as error:
        raise CloserlookError(
            f"{report}: is no report of a dataset of the causal test ({error!r}); make it again"
        ) from None
    if not valid:
        raise CloserlookError(f"{report}: names no sampled spans; make the dataset again")
    return facts


_TEST = (*(name for name in IDENTITY if name != "seed"), "spans_of", "marker", "sample")

ABLATION = Table(
    name="ablation",
    title="Spans after training without their traced instances",
    caption=(
        "One row per kind of model (side) and group of one training's spans (said_by: who says them anyway): how often they "
        "return in models tuned without the instances that they were traced to (traced), without half of these, without as many "
        "others that are as long and as similar or state other values, on all data again, and not at all (base). A difference "
        "to traced above 0 says that they need some instance that states them, one to half, where values remain, that it "
        "matters how many do; neither says which, nor that other spans come from the data."
    ),
    metrics=metrics.ABLATION,
    keys=("spans_of", "marker", "sample", "side", "said_by"),
    unit="values",
    asks_for="ablation_of",
    parts=(
        Part(
            _TEST,
            (layout.dataset_report("{arm}"), Files.RESPONSES),
            measure_ablation,
            ("returned",),
            over=ablated,
            together=_TEST,
        ),
    ),
)
