"""The table of the simplification study: what it says and what it reads."""

from collections.abc import Iterable, Iterator
from typing import Any

from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Part, Row, Table, judges_of

DATA_FILE = "data/{subset}.parquet"
OTHER_DATA_FILE = "data/{against}.parquet"
RESPONSES_FILE = "cells/{cell}/{evalset}/responses.parquet"
OTHER_RESPONSES_FILE = "cells/{against}/{evalset}/responses.parquet"
VERDICTS_FILE = "cells/{cell}/{evalset}/verdicts/{judge}.parquet"
OTHER_VERDICTS_FILE = "cells/{against}/{evalset}/verdicts/{judge}.parquet"
PAIRWISE_FILE = "cells/{cell}/{evalset}/pairwise/{judge}.parquet"

_SIDES = {"side": ("original", "simplified", "difference")}
_LENGTHS = ("tokens", "characters")


def pairs(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell tuned on a simplified dataset and evalset, with the cell that it is compared with in `against`."""
    return (row | {"against": row["original"]} for row in grid if row.get("original"))


def datasets(grid: Iterable[Row]) -> Iterator[Row]:
    """The same rows, with the subset that was simplified in `against`."""
    return (row | {"against": str(row["against"]).split("/")[1]} for row in pairs(grid))


def judged(grid: Iterable[Row]) -> Iterator[Row]:
    """Pairs whose responses are scored, a row per judge."""
    return (row | {"judge": judge} for row in pairs(grid) for judge in judges_of(row))


def compared(grid: Iterable[Row]) -> Iterator[Row]:
    """Pairs whose responses are compared, a row for each who does."""
    return (row | {"judge": judge} for row in pairs(grid) for judge in str(row.get("compared_by") or "").split())


def _part(of: tuple[str, ...], needs: tuple[str, ...], measure: str, measured: tuple[str, ...], **more: Any) -> Part:
    return Part((*of, "against"), needs, f"closerlook.report.tables.simplification:{measure}", measured, **more)


SIMPLIFICATION: dict[str, Table] = {
    "simplification": Table(
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
                (DATA_FILE, OTHER_DATA_FILE, "models/{model}"),
                "of_data",
                _LENGTHS,
                keys={"what": ("dataset_response",)} | _SIDES,
                over=datasets,
            ),
            _part(
                IDENTITY,
                (RESPONSES_FILE, OTHER_RESPONSES_FILE),
                "of_answers",
                _LENGTHS,
                keys={"what": ("model_response",)} | _SIDES,
                over=pairs,
            ),
            _part(
                (*IDENTITY, "judge"),
                (VERDICTS_FILE, OTHER_VERDICTS_FILE),
                "of_scores",
                ("score",),
                keys={"aspect": ("factuality", "helpfulness")} | _SIDES,
                over=judged,
            ),
            _part(
                (*IDENTITY, "judge"),
                (PAIRWISE_FILE,),
                "of_classes",
                (*metrics.CLASSES, *metrics.CLASS_NULLS),
                over=compared,
            ),
        ),
    ),
}
