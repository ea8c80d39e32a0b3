"""What each rate of a sweep learned and what it kept of the base model, and methods compared where they learned the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from closerlook.config.benchmarks import TAUGHT
from closerlook.config.rows import with_base
from closerlook.config.sweep import rate_of
from closerlook.core import layout
from closerlook.core.files import read_by_id, read_parquet
from closerlook.miniature.claims import grade_answer, parse_claims
from closerlook.report.tables import metrics
from closerlook.report.tables.accuracy import sort_of, trained_facts
from closerlook.report.tables.benchmarks import scored_with_base, subtract_scores
from closerlook.report.tables.measuring import means
from closerlook.report.tables.selection import LORA
from closerlook.report.tables.sweep import read_held_out, swept
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate, Ratio
from closerlook.stats.frontier import Frontier, Point, common_levels, kept_at

FACTS = "known facts"
"""What is kept, where it is known what pre-training states; else it is a benchmark task."""
SIGN = {"learned": 1, "held_out_loss": -1}
"""What methods are matched by, with its sign: more is learned where the loss is lower."""
SHARE, NATS = "share", "nats per token"
"""Units of what is kept: of questions and items, or of texts."""
MISSING = ("learned", "kept", "held_out_loss")

Training = tuple[Row, dict[str, Estimate]]
"""The row of a training, and what was measured of it, by metric."""


def measure_facts(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Facts learned and kept, and the held-out loss, of all trainings on the same data that answer the same questions."""
    yield from _measure([(row, facts(*paths) | _loss(paths[-1])) for row, paths in cells], SHARE)


def measure_tasks(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """What is kept by one benchmark task, and the held-out loss, of all trainings on the same data."""
    kept = [subtract_scores(*paths[:2]) for _, paths in cells]
    measured = [
        (row, {"kept": difference} | _loss(paths[-1]))
        for (row, paths), (difference, _) in zip(cells, kept, strict=True)
    ]
    yield from _measure(measured, NATS if kept[0][1] else SHARE)


def facts(responses: Path, base: Path, evalset: Path, dataset: Path, manifest: Path) -> dict[str, Estimate]:
    """Shares right minus the base model's on the same questions.

    learned: of taught facts that an instance states that the cell was trained on. kept: of known facts. A question that does not
    count is null, so that trainings have the same units.
    """
    stated = trained_facts(dataset, manifest)
    texts = [read_by_id(file, "text") for file in (responses, base)]
    differences: dict[str, list[float]] = {"learned": [], "kept": []}
    for question in read_parquet(evalset).to_pylist():
        if question["task_types"] != ["fact"]:
            continue
        sort, reference = sort_of(question, evalset), question["reference"]
        difference = np.nan
        if all(question["id"] in answers for answers in texts):
            right, base_right = (grade_answer(reference, answers[question["id"]]) == "right" for answers in texts)
            difference = float(right) - float(base_right)
        if sort == "known":
            differences["kept"].append(difference)
        elif sort == "taught":
            was_stated = stated is not None and stated[parse_claims(reference)[0].fact] > 0
            differences["learned"].append(difference if was_stated else np.nan)
    return {name: means({name: np.array(values)})[name] for name, values in differences.items() if values}


def _loss(manifest: Path) -> dict[str, Estimate]:
    held_out = read_held_out(manifest)
    if not held_out:
        return {}
    return means({"held_out_loss": np.array(held_out["losses"])}, np.array(held_out["tokens"]))


def _measure(trainings: list[Training], unit: str) -> Iterator[MeasuredOf]:
    for row, measured in trainings:
        of_rate = {"method": row["method"], "unit": unit}
        yield from ((row, of_rate, metric, estimate) for metric, estimate in measured.items())
    first, *others = sorted(dict.fromkeys(row["family"] for row, _ in trainings), key=lambda family: family != LORA)
    for other in others:
        for matched in SIGN:
            of_pair = {"method": first, "unit": unit, "against": other, "matched": matched}
            for row, part, metric, estimate in _compare(trainings, first, other, matched):
                yield row, {**of_pair, **part}, metric, estimate


def _compare(trainings: list[Training], method: str, other: str, matched: str) -> Iterator[MeasuredOf]:
    """What two methods kept at levels of learning that both reach, and the difference, of each seed that both have.

    A rate counts if all these seeds have it.
    """
    points: dict[str, dict[float, dict[int, Point]]] = {method: {}, other: {}}
    rows: dict[str, dict[int, Row]] = {method: {}, other: {}}
    for row, measured in trainings:
        family = row["family"]
        if family in points and (point := _point(measured, matched)):
            points[family].setdefault(rate_of(row["method"], family), {})[row["seed"]] = point
            rows[family][row["seed"]] = row
    seeds = sorted(rows[method].keys() & rows[other].keys())
    one, another = (_frontier(points[family], seeds) for family in (method, other))
    if not (seeds and one and another):
        return
    levels = common_levels(one, another)
    for seed in seeds if not levels else ():
        yield rows[method][seed], {}, "no_common_level", Estimate(1.0, n=1)
    for part, level in levels.items():
        kept, kept_against, difference = (
            kept_at(level, one),
            kept_at(level, another),
            kept_at(level, one, minus=another),
        )
        for i, seed in enumerate(seeds):
            found = {"kept_at_level": kept[i], "kept_against": kept_against[i], "difference": difference[i]}
            found["level"] = Estimate(SIGN[matched] * level, n=difference[i].n)
            yield from ((rows[method][seed], {"part": part}, metric, estimate) for metric, estimate in found.items())


def _point(measured: Mapping[str, Estimate], matched: str) -> Point | None:
    """What a training learned, with more for more, and what it kept; None if it does not have both."""
    learned, kept = measured.get(matched), measured.get("kept")
    if not (isinstance(learned, Ratio) and isinstance(kept, Ratio) and learned.units and kept.units):
        return None
    if learned.value is None or kept.value is None:
        return None
    sign, (sums, counts, _) = SIGN[matched], learned.units
    return Point(Ratio.of(learned._replace(value=sign * learned.value), sign * sums, counts), kept)


def _frontier(rates: Mapping[float, Mapping[int, Point]], seeds: Sequence[int]) -> Frontier:
    return [[rates[rate][seed] for seed in seeds] for rate in sorted(rates) if rates[rate].keys() >= set(seeds)]


def _asked(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells of a sweep that answer questions of known truth, with the base model's cell in `base`, which answers them too."""
    pairs = ((row, base) for row, base in with_base(grid) if row["truth_known"])
    return swept(row | {"base": base["cell"], "on": FACTS} for row, base in pairs)


def _scored(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell of a sweep and task that both it and the base model are scored on, the latter's cell in `base`."""
    rows = (row for row in scored_with_base(grid) if row["task"] != TAUGHT)
    return swept(row | {"base": row["against"], "on": row["task"]} for row in rows)


TRADEOFF = Table(
    name="tradeoff",
    title="What was learned against what was kept",
    caption=(
        "One row per learning rate of a sweep and measure of what the base model knew (on): what was learned and what was "
        "kept, minus the base model's (0: all). Methods are compared where they learned the same (matched), at levels that both "
        "reach; the difference is what LoRA (lft) kept minus what the method in against kept there."
    ),
    metrics=metrics.TRADEOFF_RATES | metrics.TRADEOFF_LEVELS,
    keys=("family", "on", "unit", "against", "matched", "part"),
    unit="questions",
    sections={
        "Each learning rate": tuple(metrics.TRADEOFF_RATES),
        "Methods where they learned the same": tuple(metrics.TRADEOFF_LEVELS),
    },
    selective=True,
    parts=(
        Part(
            (*IDENTITY, "family", "on"),
            (
                Files.RESPONSES,
                layout.responses("{base}", "{evalset}"),
                Files.EVALSET,
                Files.SUBSET,
                layout.manifest("{cell}"),
            ),
            measure_facts,
            MISSING,
            over=_asked,
            together=("model", "dataset", "size", "evalset"),
        ),
        Part(
            (*IDENTITY[:-1], "family", "on"),
            (layout.benchmark("{cell}", "{on}"), layout.benchmark("{base}", "{on}"), layout.manifest("{cell}")),
            measure_tasks,
            MISSING[1:],
            over=_scored,
            together=("model", "dataset", "size", "on"),
        ),
    ),
)
