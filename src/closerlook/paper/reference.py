"""The numbers that the paper prints, from config/reference/."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from closerlook.core.files import read_csv

FOLDER = Path(__file__).parents[3] / "config" / "reference"
ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
CELL = ("model", "dataset", "size", "method")
JUST_EVAL = {"evalset": "just-eval-instruct"}
TASK_TYPES = ("coding", "info-seek", "math", "procedure", "reasoning", "role-play", "writing")
CLASSES = ("longer_preferred", "different", "both_inaccurate", "prolonged", "core")
"""The names that the table `simplification` has for Figure 6's classes, in the file's order."""


@dataclass(frozen=True)
class Printed:
    """A row of a table, or a point of a figure. Names and sizes are the paper's.

    kind: aspects, tasks, lengths, kl, simplification or origin.
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
    )


def _scores(kind: str, names: tuple[str, ...]) -> Iterator[Printed]:
    for row in _read(kind, ("table", "row", *CELL, "evalset", *names)):
        values = {name: _number(row[name]) for name in names}
        yield _printed_row(kind, f"Table {row['table']}", int(row["row"]), row, values)


def _lengths() -> Iterator[Printed]:
    """Table 11. It does not name the evaluation set, which is assumed to be just-eval-instruct, as these models answer it."""
    for number, row in enumerate(_read("lengths", (*CELL, "what", "mean_tokens")), 1):
        evalset = JUST_EVAL if row["what"] == "model_response" else {"evalset": ""}
        yield _printed_row("lengths", "Table 11", number, row | evalset, {row["what"]: _number(row["mean_tokens"])})


def _kl() -> Iterator[Printed]:
    """Figure 4. It does not name the dataset, which is assumed to be Alpaca for its sizes, 1k and 52k."""
    parts = {part: f"kl_{part}" for part in ("first_5pct", "last_95pct")}
    for number, row in enumerate(_read("kl_by_sentence_part", ("model", "method", "size", *parts.values())), 1):
        values = {part: _number(row[column]) for part, column in parts.items()}
        yield _printed_row("kl", "Figure 4", number, row | JUST_EVAL | {"dataset": "alpaca"}, values)


def _simplification() -> Iterator[Printed]:
    """Figure 6. It does not name the model, which is assumed to be LLaMa-2 7B SFT, as in Table 11."""
    rows = _read("simplification", ("category", "share_pct"))
    values = {name: _number(row["share_pct"], percent=True) for name, row in zip(CLASSES, rows, strict=True)}
    cell = {"model": "LLaMa-2 7B", "dataset": "lima-simple", "size": "1000", "method": "sft"}
    yield _printed_row("simplification", "Figure 6", 1, cell | JUST_EVAL, values)


def _origin() -> Iterator[Printed]:
    for number, row in enumerate(_read("origin", (*CELL, "from_it_pct")), 1):
        values = {"from_data": _number(row["from_it_pct"], percent=True)}
        yield _printed_row("origin", "Figure 8", number, row | JUST_EVAL, values)


def _printed_row(
    kind: str, source: str, number: int, row: dict[str, str], values: Mapping[str, float | None]
) -> Printed:
    size = int(row["size"]) if row["size"] else None
    return Printed(kind, source, number, row["model"], row["dataset"], size, row["method"], row["evalset"], values)


def _read(name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    return [row for _, row in read_csv(FOLDER / f"{name}.csv", columns, "the paper's numbers")]


def _number(text: str, *, percent: bool = False) -> float | None:
    return float(text) / (100 if percent else 1) if text else None
