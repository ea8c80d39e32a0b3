"""How much the trainings of a cell differ: every headline value with a mean over seeds, and its spread between them."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.report.tables import metrics
from closerlook.report.tables.pooling import is_mean, of_all_seeds
from closerlook.report.tables.table import IDENTITY, VALUE, MeasuredOf, Part, Row, Table
from closerlook.report.tables.tidy import read_csv
from closerlook.stats.bootstrap import Estimate


def measure_spread(tables: Mapping[str, Table], cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Mean, standard deviation, lowest and highest value and number of trainings, for each mean over trainings of each table."""
    for cell, (path,) in cells:
        table = tables[cell["table"]]
        trainings: dict[tuple[str, ...], list[Row]] = {}
        for row in read_csv(path, table):
            metric = table.metrics[row["metric"]]
            if metric.headline and metric.pooled:
                one = of_all_seeds(row)
                trainings.setdefault(tuple(one[name] for name in table.columns if name not in VALUE[1:]), []).append(
                    row
                )
        for rows in trainings.values():
            values = [row["value"] for row in rows if not is_mean(row) and row["value"] is not None]
            for mean in filter(is_mean, rows):
                what = ", ".join(f"{name} {mean[name]}" for name in table.keys if mean[name])
                keys = {name: mean[name] for name in IDENTITY} | {"measured": mean["metric"], "of": what}
                counts = {"n": mean["n"], "n_null": mean["n_null"]}
                yield cell, keys, "mean", Estimate(mean["value"], mean["ci_low"], mean["ci_high"], **counts)
                for name, value in zip(SPREAD, (np.std(values, ddof=1), min(values), max(values)), strict=True):
                    yield cell, keys, name, Estimate(float(value), **counts)


SPREAD = ("sd", "lowest", "highest")
SPREAD_OF = (
    "shift",
    "kl_by_sentence_part",
    "lengths",
    "accuracy",
    "benchmarks",
    "retention",
    "cells",
    "scores_by_aspect",
    "score_differences",
    "spans",
)
"""The tables whose values are shown: those that compare methods, without the many rows of the searches."""


def pooled_tables(tables: Mapping[str, Table], grid: Iterable[Row]) -> Iterator[Row]:
    """A row per table of SPREAD_OF, if cells are trained with several seeds."""
    rows = list(grid)
    seeds: dict[tuple[str, ...], set[int]] = {}
    for row in rows:
        seeds.setdefault(tuple(row[name] for name in IDENTITY if name != "seed"), set()).add(row["seed"])
    if any(len(each) > 1 for each in seeds.values()):
        yield from (rows[0] | {"table": name} for name in SPREAD_OF if tables[name].fits(rows))


def seeds_table(tables: Mapping[str, Table]) -> Table:
    """The table of the spread between seeds, read from `tables`."""
    return Table(
        name="seeds",
        title="Spread between trainings that differ in their seed",
        caption=(
            "One row per cell and value that has a mean over trainings: the mean, with an interval that covers other seeds and "
            "other responses, and how far the trainings are apart. Compare a difference between methods with the standard "
            "deviation between seeds."
        ),
        metrics=metrics.SEEDS,
        keys=("table", "measured", "of"),
        selective=True,
        parts=(
            Part(
                ("table",),
                (layout.table("{table}"),),
                partial(measure_spread, tables),
                ("mean",),
                controls=True,
                over=partial(pooled_tables, tables),
                together=(),
            ),
        ),
    )
