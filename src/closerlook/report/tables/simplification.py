"""Effect of simplified instruction data: a cell compared with the one tuned on the original data (section 4)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.judge.pairwise import CLASSES, DISAGREEMENT
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import damaged, labeled, means, null_counts, response_tokens, shares
from closerlook.report.tables.selection import judged
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Row, Table
from closerlook.report.tables.verdicts import aligned, read_verdicts

SIDES = ("original", "simplified", "difference")
"""Means over the same pairs; the difference is simplified minus original."""
ASPECTS = ("factuality", "helpfulness")
CAUSES = ("refused", "unparsable", "error", "not labelled")

Numbers = tuple[Sequence[str], Iterable[float | None]]
"""Ids, and a number for each."""


def measure_data(simplified: Path, original: Path, model: Path) -> Iterator[Measured]:
    """Mean tokens and characters of the responses that both cells were tuned on, paired by the instance's id."""
    tables = [read_parquet(path, columns=["id", "response"]) for path in (original, simplified)]
    if set(tables[0]["id"].to_pylist()) != set(tables[1]["id"].to_pylist()):
        raise CloserlookError(f"{simplified}: holds other instances than {original}; make both again")
    tokens = [[len(ids) for ids in response_tokens(model, table["response"].to_pylist())] for table in tables]
    yield from _compare_lengths("dataset_response", tables, tokens, "response")


def measure_responses(simplified: Path, original: Path) -> Iterator[Measured]:
    """Mean tokens and characters of both cells' responses, paired by instruction."""
    tables = [read_parquet(path, columns=["id", "token_ids", "text"]) for path in (original, simplified)]
    tokens = [pc.list_value_length(table["token_ids"]).to_pylist() for table in tables]
    yield from _compare_lengths("model_response", tables, tokens, "text")


def _compare_lengths(what: str, tables: list[pa.Table], tokens: list[list[int]], text: str) -> Iterator[Measured]:
    ids = [table["id"].to_pylist() for table in tables]
    characters = [pc.utf8_length(table[text]).to_pylist() for table in tables]
    yield from compare_pairs({"what": what}, "tokens", *zip(ids, tokens, strict=True))
    yield from compare_pairs({"what": what}, "characters", *zip(ids, characters, strict=True))


def measure_scores(simplified: Path, original: Path) -> Iterator[Measured]:
    """One judge's mean factuality and helpfulness of both cells, over the instructions where both have a score."""
    pair = [read_verdicts(path) for path in (original, simplified)]
    version = " + ".join(sorted({verdicts.version for verdicts in pair}))
    for aspect in ASPECTS:
        if all(aspect in verdicts.aspects for verdicts in pair):
            scores = (verdicts.aspect(aspect) for verdicts in pair)
            yield from compare_pairs({"aspect": aspect, "version": version}, "score", *scores)


def compare_pairs(keys: dict[str, str], metric: str, original: Numbers, simplified: Numbers) -> Iterator[Measured]:
    """The mean of each side and of the difference. A pair with a null on either side is null in all three."""
    values = aligned([(tuple(ids), np.array(list(values), dtype=np.float64)) for ids, values in (original, simplified)])
    values[np.isnan(values).any(axis=1)] = np.nan
    sides = dict(zip(SIDES, (values[:, 0], values[:, 1], values[:, 1] - values[:, 0]), strict=True))
    for side, mean in means(sides).items():
        yield keys | {"side": side}, metric, mean


def count_classes(pairwise: Path) -> Iterator[Measured]:
    """Shares of Figure 6's classes and of disagreement among the pairs with a class, and pairs without one, by cause."""
    table = read_parquet(pairwise, columns=["class", "null_cause", "judge"])
    classes, causes = table["class"].to_pylist(), table["null_cause"].to_pylist()
    names = (*CLASSES, DISAGREEMENT)
    for row, (name, cause) in enumerate(zip(classes, causes, strict=True)):
        if (name is None) == (cause is None) or not (name in names or cause in CAUSES):
            raise damaged(pairwise, f"row {row}: class {name}, null_cause {cause}")
    keys = {"version": " + ".join(sorted(set(table["judge"].to_pylist())))}
    indicators = {name: np.array([each == name for each in classes], dtype=np.float64) for name in names}
    yield from labeled(keys, shares(indicators, np.array([name is not None for name in classes])))
    counts = Counter(causes)
    yield from labeled(keys, null_counts(CAUSES, counts, counts[None], len(classes) - counts[None]))


def pairs(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell tuned on a simplified dataset and evalset, with the cell that it is compared with in `against`."""
    return (row | {"against": row["original"]} for row in grid if row["original"])


def datasets(grid: Iterable[Row]) -> Iterator[Row]:
    """The same rows, with the subset that was simplified in `against`."""
    return (row | {"against": str(row["against"]).split("/")[1]} for row in pairs(grid))


def compared_pairs(grid: Iterable[Row]) -> Iterator[Row]:
    """Pairs whose responses are compared, a row for each judge or annotator."""
    return (row | {"judge": judge} for row in pairs(grid) for judge in row["compared_by"])


_LENGTHS = ("tokens", "characters")


SIMPLIFICATION = Table(
    name="simplification",
    title="Simplified instruction data",
    caption=(
        "One row per measure of a cell tuned on simplified data, compared with the cell or dataset in against, which "
        "is the original (section 4 of the paper). Differences are simplified minus original, paired by instance or "
        "instruction."
    ),
    metrics=metrics.DATASET_LENGTHS | {"score": metrics.SCORES["score"]} | metrics.CLASSES | metrics.CLASS_NULLS,
    keys=("against", "what", "judge", "version", "aspect", "side"),
    spread=("side",),
    unit="pairs",
    sections={
        "Lengths": _LENGTHS,
        "Scores": ("score",),
        "Classes of Figure 6": tuple(metrics.CLASSES),
        "Pairs without a class, by cause": tuple(metrics.CLASS_NULLS),
    },
    selective=True,
    parts=(
        Part(
            ("model", "dataset", "size", "against"),
            (Files.SUBSET, layout.dataset("{against}"), Files.MODEL),
            measure_data,
            _LENGTHS,
            keys={"what": ("dataset_response",), "side": SIDES},
            over=datasets,
        ),
        Part(
            (*IDENTITY, "against"),
            (Files.RESPONSES, layout.responses("{against}", "{evalset}")),
            measure_responses,
            _LENGTHS,
            keys={"what": ("model_response",), "side": SIDES},
            over=pairs,
        ),
        Part(
            (*IDENTITY, "judge", "against"),
            (Files.VERDICTS, layout.verdicts("{against}", "{evalset}", "{judge}")),
            measure_scores,
            ("score",),
            keys={"aspect": ASPECTS, "side": SIDES},
            over=lambda grid: judged(pairs(grid)),
        ),
        Part(
            (*IDENTITY, "judge", "against"),
            (layout.pairwise("{cell}", "{evalset}", "{judge}"),),
            count_classes,
            (*metrics.CLASSES, *metrics.CLASS_NULLS),
            over=compared_pairs,
        ),
    ),
)
