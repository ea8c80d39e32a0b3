"""What simplifying the instruction data changed: a cell against its like, tuned on the data as they were (section 4)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.judge.pairwise import CLASSES, DISAGREEMENT
from closerlook.report.tables import metrics
from closerlook.report.tables.table import (
    IDENTITY,
    MODEL_FOLDER,
    RESPONSES_FILE,
    SUBSET_FILE,
    VERDICTS_FILE,
    Measure,
    Measured,
    Part,
    Row,
    Table,
    judges_of,
)
from closerlook.report.tables.tokenizer import response_tokens
from closerlook.report.tables.verdicts import aligned, read_verdicts
from closerlook.stats.bootstrap import Estimate, ratios

SIDES = ("original", "simplified", "difference")
"""Means over the same pairs; the difference is simplified less original."""
ASPECTS = ("factuality", "helpfulness")
CAUSES = ("refused", "unparsable", "error", "not labelled")

Numbers = tuple[Sequence[str], Iterable[float | None]]
"""Ids, and a number for each."""


def measure_data(simplified: Path, original: Path, model: Path) -> Iterator[Measured]:
    """Mean tokens and characters of the responses that both cells were tuned on, paired by the instance's id."""
    tables = [read_parquet(path, columns=["id", "response"]) for path in (original, simplified)]
    ids = [table["id"].to_pylist() for table in tables]
    if set(ids[0]) != set(ids[1]):
        raise CloserlookError(f"{simplified}: holds other instances than {original}; make both again")
    tokens = [[len(ids) for ids in response_tokens(model, table["response"].to_pylist())] for table in tables]
    yield from _pairs({"what": "dataset_response"}, "tokens", *zip(ids, tokens, strict=True))
    characters = [_characters(table["response"]) for table in tables]
    yield from _pairs({"what": "dataset_response"}, "characters", *zip(ids, characters, strict=True))


def measure_responses(simplified: Path, original: Path) -> Iterator[Measured]:
    """Mean tokens and characters of both cells' responses, paired by instruction."""
    tables = [read_parquet(path, columns=["id", "token_ids", "text"]) for path in (original, simplified)]
    ids = [table["id"].to_pylist() for table in tables]
    tokens = [pc.list_value_length(table["token_ids"]).to_pylist() for table in tables]
    yield from _pairs({"what": "model_response"}, "tokens", *zip(ids, tokens, strict=True))
    characters = [_characters(table["text"]) for table in tables]
    yield from _pairs({"what": "model_response"}, "characters", *zip(ids, characters, strict=True))


def measure_scores(simplified: Path, original: Path) -> Iterator[Measured]:
    """One judge's mean factuality and helpfulness of both cells, over the instructions where both have a score."""
    pair = [read_verdicts(path) for path in (original, simplified)]
    version = " + ".join(sorted({verdicts.version for verdicts in pair}))
    for aspect in ASPECTS:
        if all(aspect in verdicts.aspects for verdicts in pair):
            scores = ((verdicts.ids, verdicts.scores[:, verdicts.aspects.index(aspect)]) for verdicts in pair)
            yield from _pairs({"aspect": aspect, "version": version}, "score", *scores)


def count_classes(pairwise: Path) -> Iterator[Measured]:
    """Shares of Figure 6's classes and of disagreement among the pairs that were decided, and how many were not, by cause."""
    table = read_parquet(pairwise, columns=["class", "null_cause", "judge"])
    classes, causes = table["class"].to_pylist(), table["null_cause"].to_pylist()
    names = (*CLASSES, DISAGREEMENT)
    for row, (name, cause) in enumerate(zip(classes, causes, strict=True)):
        if (name is None) == (cause is None) or not (name in names or cause in CAUSES):
            found = f"class {name}, null_cause {cause}"
            raise CloserlookError(f"{pairwise}: row {row}: {found}; delete the file and run its command again")
    keys = {"version": " + ".join(sorted(set(table["judge"].to_pylist())))}
    decided = np.array([[name is not None] for name in classes], dtype=np.float64).reshape(-1, 1)
    sums = np.array([[name == one for one in names] for name in classes], dtype=np.float64).reshape(-1, len(names))
    for name, share in zip(names, ratios(sums, decided), strict=True):
        yield keys, name, share
    counts = Counter(causes)
    for cause in CAUSES:
        n_null = len(classes) - counts[None]
        yield keys, f"null_{cause.replace(' ', '_')}", Estimate(float(counts[cause]), n=counts[None], n_null=n_null)


def _pairs(keys: dict[str, str], metric: str, original: Numbers, simplified: Numbers) -> Iterator[Measured]:
    """The mean of each side and of the difference; a pair with a null on either side is null on all."""
    columns = aligned(
        [(tuple(ids), np.array(list(values), dtype=np.float64)) for ids, values in (original, simplified)]
    )
    both = np.column_stack([columns, columns[:, 1] - columns[:, 0]])
    both[np.isnan(both[:, 2])] = np.nan
    for side, mean in zip(SIDES, ratios(both, np.ones((len(both), 1))), strict=True):
        yield keys | {"side": side}, metric, mean


def _characters(texts: pa.ChunkedArray) -> list[int | None]:
    return pc.utf8_length(texts).to_pylist()


def pairs(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell tuned on a simplified dataset and evalset, with the cell that it is compared with in `against`."""
    return (row | {"against": row["original"]} for row in grid if row.get("original"))


def datasets(grid: Iterable[Row]) -> Iterator[Row]:
    """The same rows, with the subset that was simplified in `against`."""
    return (row | {"against": str(row["against"]).split("/")[1]} for row in pairs(grid))


def judged_pairs(grid: Iterable[Row]) -> Iterator[Row]:
    """Pairs whose responses are scored, a row per judge."""
    return (row | {"judge": judge} for row in pairs(grid) for judge in judges_of(row))


def compared_pairs(grid: Iterable[Row]) -> Iterator[Row]:
    """Pairs whose responses are compared, a row for each who does."""
    return (row | {"judge": judge} for row in pairs(grid) for judge in str(row.get("compared_by") or "").split())


def _part(
    of: tuple[str, ...], needs: tuple[str, ...], measure: Measure, measured: tuple[str, ...], **more: Any
) -> Part:
    return Part((*of, "against"), needs, measure, measured, **more)


_SIDES = {"side": ("original", "simplified", "difference")}
_LENGTHS = ("tokens", "characters")


SIMPLIFICATION = Table(
    title="Simplified instruction data",
    caption=(
        "Cells tuned on a simplified dataset beside those tuned on the dataset itself (against), all else equal (section "
        "4). Lengths of the responses tuned on and of those given, and judges' scores: means over the same instances or "
        "instructions on both sides, and of the paired difference, simplified less original. Classes of Figure 6: shares "
        "of the pairs that were decided, by a judge who sees both orders without knowing which is which (where they differ: "
        "disagreement) or by people (labels). Prolonged: the original states something false that only makes it longer. "
        "Core: it is wrong in what was asked for. In neither does the simplified state anything false. Other: none of "
        "Figure 6's five, such as a false simplified response beside a true original."
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
    asks_for="original",
    parts=(
        _part(
            ("model", "dataset", "size"),
            (SUBSET_FILE, layout.dataset("{against}"), MODEL_FOLDER),
            measure_data,
            _LENGTHS,
            keys={"what": ("dataset_response",)} | _SIDES,
            over=datasets,
        ),
        _part(
            IDENTITY,
            (RESPONSES_FILE, layout.responses("{against}", "{evalset}")),
            measure_responses,
            _LENGTHS,
            keys={"what": ("model_response",)} | _SIDES,
            over=pairs,
        ),
        _part(
            (*IDENTITY, "judge"),
            (VERDICTS_FILE, layout.verdicts("{against}", "{evalset}", "{judge}")),
            measure_scores,
            ("score",),
            keys={"aspect": ("factuality", "helpfulness")} | _SIDES,
            over=judged_pairs,
        ),
        _part(
            (*IDENTITY, "judge"),
            (layout.pairwise("{cell}", "{evalset}", "{judge}"),),
            count_classes,
            (*metrics.CLASSES, *metrics.CLASS_NULLS),
            over=compared_pairs,
        ),
    ),
)
