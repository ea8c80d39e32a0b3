"""What became of every row of the datasets, and which evaluation instructions they give away."""

import json
from collections.abc import Iterator
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.report.tables.shift import Measured
from closerlook.stats.bootstrap import Estimate


def by_subset(subset: Path, report: Path) -> Iterator[Measured]:
    """Rows the subset has, and what cleaning the whole dataset read, kept, dropped and noted, by reason."""
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


def by_evalset(subset: Path, evalset: Path, pairs: Path) -> Iterator[Measured]:
    """Evaluation instructions that the subset asks too: word for word, and only nearly. n: instructions in the evalset."""
    instances = set(read_parquet(subset, columns=["id"])["id"].to_pylist())
    found: dict[str, set[str]] = {"exact": set(), "near": set()}
    for pair in read_parquet(pairs, columns=["evalset_id", "instance_id", "match"]).to_pylist():
        if pair["instance_id"] in instances:
            found[pair["match"]].add(pair["evalset_id"])
    instructions = len(read_parquet(evalset, columns=["id"]))
    yield {}, "contaminated_exact", _count(len(found["exact"]), instructions)
    yield {}, "contaminated_near", _count(len(found["near"] - found["exact"]), instructions)


def _count(number: int, n: int) -> Estimate:
    return Estimate(float(number), n=n)
