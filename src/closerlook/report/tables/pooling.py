"""Trainings that differ only in their seed, pooled in every table: a further row has the mean over them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from closerlook.report.tables.table import IDENTITY, VALUE, MeasuredOf, Row, Table
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.paired_tests import holm
from closerlook.stats.seeds import pool

MEAN_OF = "mean of "
"""Begins the column `seed` of a mean over trainings; their number follows."""
ONE_TRAINING = "one training"
"""That column where one measurement would read several trainings, and finds one."""
NAMES = ("against", "under", "searched")
"""Key columns that name a cell, a run or a dataset, and so a seed."""
_SEED = re.compile(r"(?P<subset>@[^/@]+?)-d\d+(?=/|$)|-s\d+$")

Key = tuple[tuple[str, Any], ...]
"""Columns of a row with their values, as of all seeds: those that tell what was measured."""


def of_all_seeds(row: Row) -> Row:
    """A row as that of every seed: without its seed, and without those in the names of cells and runs in its other columns."""
    return row | {"seed": ""} | {name: _SEED.sub(r"\g<subset>", str(row[name])) for name in NAMES if name in row}


def is_mean(row: Row) -> bool:
    """Whether a row is a mean over trainings."""
    return str(row["seed"]).startswith(MEAN_OF)


def mean_over(trainings: Sequence[Estimate]) -> Estimate:
    """The mean share, or difference of two, over trainings that are read together; of one training, its estimate.

    There is no interval over fewer than two units.
    """
    pooled = pool(trainings)
    mean = _as_kind(pooled.estimate, "share", trainings) if pooled else trainings[0]
    return mean if mean.n > 1 else Estimate(mean.value, n=mean.n, n_null=mean.n_null)


def trained(*counts: int) -> str:
    """The column `seed` of what was measured on so many trainings, or on so many of two kinds."""
    return ONE_TRAINING if 1 in counts else f"{MEAN_OF}{' and '.join(map(str, dict.fromkeys(counts)))}"


def with_means(measured: list[tuple[Row, Estimate]], table: Table) -> Iterator[Row]:
    """All rows with their values, and after the last training of each the mean over trainings.

    measured: rows with their identity, keys and metric, and what was measured.
    """
    trainings: dict[Key, list[int]] = {}
    for index, (row, _) in enumerate(measured):
        if table.metrics[row["metric"]].pooled and not is_mean(row):
            trainings.setdefault(_key(row), []).append(index)
    last = {indices[-1]: indices for indices in trainings.values()}
    for index, (row, estimate) in enumerate(measured):
        yield (of_all_seeds(row) | {"seed": row["seed"]} if is_mean(row) else row) | _values(estimate)
        estimates = [measured[training][1] for training in last.get(index, ())]
        if pooled := pool(estimates):
            mean = _as_kind(pooled.estimate, table.metrics[row["metric"]].kind, estimates)
            yield of_all_seeds(row) | {"seed": f"{MEAN_OF}{pooled.trainings}"} | _values(mean)


def _as_kind(mean: Estimate, kind: str, trainings: Sequence[Estimate]) -> Estimate:
    """The mean of a count has no interval, a flag is whether any training has it, a share or a difference of two is within 1."""
    if kind == "count":
        return Estimate(mean.value, n=mean.n, n_null=mean.n_null)
    if kind == "flag":
        return Estimate(max(each.value or 0.0 for each in trainings), n=mean.n, n_null=mean.n_null)
    if kind == "share" and mean.low is not None and mean.high is not None:
        return mean._replace(low=max(mean.low, -1.0), high=min(mean.high, 1.0))
    return mean


def tests_over_seeds(comparisons: list[tuple[Row, Row, Estimate, float | None]]) -> Iterator[MeasuredOf]:
    """p of each comparison, and Holm's p over all of them.

    comparisons: cell, keys, paired mean difference and its p as of one training. Several that differ only in their seed are one
    comparison, of their means, with one p that covers other seeds; each alone has a p, but none that is corrected.
    """
    trainings: dict[Key, list[tuple[Row, Row, Estimate, Estimate]]] = {}
    for cell, keys, mean, p_alone in comparisons:
        named = {name: cell[name] for name in (*IDENTITY, "judge", "against", "task", "text") if name in cell}
        alone = Estimate(p_alone, n=mean.n, n_null=mean.n_null)
        trainings.setdefault(_key(named | keys), []).append((cell, keys, mean, alone))
    tested: list[tuple[Row, Row, Estimate]] = []
    for group in trainings.values():
        for cell, keys, _, p in group:
            yield cell, keys, "p", p
        cell, keys, _, p = group[-1]
        if pooled := pool([mean for _, _, mean, _ in group]):
            keys = {**keys, "seed": f"{MEAN_OF}{pooled.trainings}"}
            p = Estimate(pooled.p, n=pooled.estimate.n, n_null=pooled.estimate.n_null)
            yield cell, keys, "p", p
        tested.append((cell, keys, p))
    corrected = iter(holm([p.value for _, _, p in tested if p.value is not None]))
    for cell, keys, p in tested:
        yield cell, keys, "p_holm", p if p.value is None else p._replace(value=next(corrected))


def summarized(rows: list[Row]) -> list[Row]:
    """The rows that are drawn: where trainings have a mean of any metric, the means alone."""
    means = {_key(row, VALUE) for row in rows if is_mean(row)}
    return [row for row in rows if is_mean(row) or _key(row, VALUE) not in means]


def _key(row: Row, without: Sequence[str] = VALUE[1:]) -> Key:
    return tuple((name, value) for name, value in of_all_seeds(row).items() if name not in without)


def _values(estimate: Estimate) -> Row:
    return dict(zip(VALUE[1:], estimate, strict=True))
