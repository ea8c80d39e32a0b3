"""The numbers that the paper prints, from config/reference/. Imports little, because the Snakefile reads them."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from closerlook.core.errors import CloserlookError

FOLDER = Path(__file__).parents[3] / "config" / "reference"
ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
TASK_TYPES = ("coding", "info-seek", "math", "procedure", "reasoning", "role-play", "writing")
CLASSES = ("longer_preferred", "different", "both_inaccurate", "prolonged", "core")
"""The names that the table `simplification` has for Figure 6's classes, in the file's order."""


@dataclass(frozen=True)
class Printed:
    """A row of a table, or a point of a figure. Names and sizes are the paper's.

    kind: aspects, tasks, lengths, kl, simplification, origin or token_shift.
    source: the table or figure. values: None if the paper prints no number. Shares are fractions.
    """

    kind: str
    source: str
    row: int
    model: str
    dataset: str
    size: int | None
    method: str
    evalset: str
    values: Mapping[str, float | None]

    @property
    def location(self) -> str:
        """Table or figure and row, as text."""
        return f"{self.source}, row {self.row}"

    @property
    def mean(self) -> float:
        """Mean of the values that are printed."""
        present = [value for value in self.values.values() if value is not None]
        return sum(present) / len(present)


@cache
def printed() -> tuple[Printed, ...]:
    """All printed rows. Raises CloserlookError for a file that is missing or lacks a column."""
    return (
        *_scores("aspects", ASPECTS),
        *_scores("tasks", TASK_TYPES),
        *_lengths(),
        *_kl(),
        *_simplification(),
        *_origin(),
        *_token_shift(),
    )


def _scores(kind: str, names: tuple[str, ...]) -> Iterator[Printed]:
    for row in _read(kind, ("table", "row", "model", "dataset", "size", "method", "evalset", *names)):
        values = {name: _number(row[name]) for name in names}
        identity = (row["model"], row["dataset"], _size(row["size"]), row["method"], row["evalset"])
        yield Printed(kind, f"Table {row['table']}", int(row["row"]), *identity, values)


def _lengths() -> Iterator[Printed]:
    """Table 11. It does not name the evaluation set, which is assumed to be just-eval-instruct, as these models answer it."""
    for number, row in enumerate(_read("lengths", ("what", "dataset", "size", "method", "model", "mean_tokens")), 1):
        evalset = "just-eval-instruct" if row["what"] == "model_response" else ""
        identity = (row["model"], row["dataset"], _size(row["size"]), row["method"], evalset)
        yield Printed("lengths", "Table 11", number, *identity, {row["what"]: _number(row["mean_tokens"])})


def _kl() -> Iterator[Printed]:
    """Figure 4. It does not name the dataset, which is assumed to be Alpaca for its sizes, 1k and 52k."""
    columns = ("model", "method", "size", "kl_first_5pct", "kl_last_95pct")
    for number, row in enumerate(_read("kl_by_sentence_part", columns), 1):
        identity = (row["model"], "alpaca", _size(row["size"]), row["method"], "just-eval-instruct")
        values = {part: _number(row[f"kl_{part}"]) for part in ("first_5pct", "last_95pct")}
        yield Printed("kl", "Figure 4", number, *identity, values)


def _simplification() -> Iterator[Printed]:
    """Figure 6. It does not name the model, which is assumed to be LLaMa-2 7B SFT, as in Table 11."""
    rows = _read("simplification", ("category", "share_pct"))
    values = {name: _share(row["share_pct"]) for name, row in zip(CLASSES, rows, strict=True)}
    identity = ("LLaMa-2 7B", "lima-simple", 1000, "sft", "just-eval-instruct")
    yield Printed("simplification", "Figure 6", 1, *identity, values)


def _origin() -> Iterator[Printed]:
    for number, row in enumerate(_read("origin", ("model", "method", "dataset", "size", "from_it_pct")), 1):
        identity = (row["model"], row["dataset"], _size(row["size"]), row["method"], "just-eval-instruct")
        yield Printed("origin", "Figure 8", number, *identity, {"from_data": _share(row["from_it_pct"])})


def _token_shift() -> Iterator[Printed]:
    """Lin et al.'s ratios, of published chat models. They match no cell of a grid, since no grid trains these models."""
    names = ("unshifted", "marginal", "shifted")
    for number, row in enumerate(_read("token_shift", ("base", "aligned", *(f"{name}_pct" for name in names))), 1):
        values = {name: _share(row[f"{name}_pct"]) for name in names}
        yield Printed("token_shift", "Lin et al.", number, row["aligned"], "", None, "none", "", values)


def _read(name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    path = FOLDER / f"{name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except OSError as error:
        raise CloserlookError(f"{path}: cannot be read: {error.strerror}") from None
    if absent := [column for column in columns if column not in (reader.fieldnames or ())]:
        raise CloserlookError(f"{path}: has no column {', '.join(absent)}")
    return rows


def _number(text: str) -> float | None:
    return float(text) if text else None


def _share(text: str) -> float | None:
    return float(text) / 100 if text else None


def _size(text: str) -> int | None:
    return int(text) if text else None
