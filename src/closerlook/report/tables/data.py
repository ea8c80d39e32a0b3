"""Rows of datasets: read, kept and dropped, and evaluation instructions that they contain."""

import json
from collections.abc import Iterator
from pathlib import Path

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_ids, read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.table import Files, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate


def count_rows(subset: Path, report: Path) -> Iterator[Measured]:
    """Rows of the subset, and rows read, kept, dropped and noted when the whole dataset was cleaned, by reason."""
    try:
        counts = json.loads(report.read_text(encoding="utf-8"))
        read, kept, dropped, noted = (counts[name] for name in ("rows_read", "rows_kept", "dropped", "noted"))
    except (ValueError, KeyError) as error:
        raise CloserlookError(
            f"{report}: is no report of a dataset ({error!r}); delete it and prepare the dataset again"
        ) from None
    yield {}, "rows", _count(len(read_parquet(subset, columns=["id"])), read)
    yield {}, "rows_read", _count(read, read)
    yield {}, "rows_kept", _count(kept, read)
    for metric, reasons in (("dropped", dropped), ("noted", noted)):
        for reason, number in reasons.items():
            yield {"reason": reason}, metric, _count(number, read)


def count_contaminated(subset: Path, evalset: Path, pairs: Path) -> Iterator[Measured]:
    """Evaluation instructions that the subset contains word for word, and only nearly. n: instructions in the evalset."""
    instances = set(read_ids(subset))
    matches: dict[str, set[str]] = {"exact": set(), "near": set()}
    for pair in read_parquet(pairs, columns=["evalset_id", "instance_id", "match"]).to_pylist():
        if pair["instance_id"] in instances:
            matches[pair["match"]].add(pair["evalset_id"])
    instructions = len(read_parquet(evalset, columns=["id"]))
    yield {}, "contaminated_exact", _count(len(matches["exact"]), instructions)
    yield {}, "contaminated_near", _count(len(matches["near"] - matches["exact"]), instructions)


def _count(number: int, n: int) -> Estimate:
    return Estimate(float(number), n=n)


DATA = Table(
    name="data",
    title="Datasets: rows kept, dropped and contaminated",
    caption=(
        "One row per dataset size and evaluation set: rows of the dataset that were read, kept, dropped, noted and "
        "used, and evaluation instructions that the rows used contain. Contamination can raise the scores on that "
        "evaluation set."
    ),
    metrics=metrics.ROWS | metrics.CONTAMINATED,
    keys=("reason",),
    spread=("reason",),
    unit="",
    parts=(
        Part(("dataset", "size"), (Files.SUBSET, layout.dataset_report("{dataset}")), count_rows, tuple(metrics.ROWS)),
        Part(
            ("dataset", "size", "evalset"),
            (Files.SUBSET, Files.EVALSET, layout.contamination("{dataset}", "{evalset}")),
            count_contaminated,
            tuple(metrics.CONTAMINATED),
        ),
    ),
)
