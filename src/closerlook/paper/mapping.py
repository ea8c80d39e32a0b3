"""The cells of a grid that a printed row describes: the paper's names and the catalog's."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from closerlook.paper.reference import Printed

MODELS = {
    "LLaMa-2 7B": "llama-2-7b",
    "LLaMa-2 13B": "llama-2-13b",
    "LLaMa-2 70B": "llama-2-70b",
    "Mistral-v0.1 7B": "mistral-7b-v0.1",
    "Phi-1.5 1.3B": "phi-1.5",
    "LLaMa-2 7B-chat-hf": "llama-2-7b-chat",
    "LLaMa-2 13B-chat-hf": "llama-2-13b-chat",
    "LLaMa-2 70B-chat-hf": "llama-2-70b-chat",
    "gpt-4-1106-preview": "gpt-4-1106-preview",
}
"""The catalog's name of each model of the paper. Datasets, evalsets and methods have the same name in both."""
UNTUNED = ("chat", "ask")
"""The controls that the paper's untuned rows describe; of a chat model, the paper scored no other."""
IMPROVED = {"alpagasus": "alpaca", "dolly-filtered": "dolly", "evol-instruct": "alpaca"}
"""Datasets of section 6 that should improve tuning, and the plain dataset that Figure 9 compares each with."""

GridRow = Mapping[str, Any]
"""A row of grid.csv."""


def describes(row: Printed, grid: GridRow) -> bool:
    """Whether a printed row describes a row of grid.csv. Its empty fields (a length has no model) match anything."""
    return (
        (not row.model or MODELS.get(row.model) == grid["model"])
        and (row.dataset == grid["dataset"] if row.dataset or row.method == "none" else True)
        and _thousands(row.size) == _thousands(grid["size"])
        and (grid["method"] in UNTUNED if row.method == "none" else row.method in ("", grid["method"]))
        and row.evalset in ("", grid["evalset"])
    )


def matching(rows: Iterable[Printed], grid: Iterable[GridRow]) -> Iterator[tuple[Printed, GridRow]]:
    """Every pair of a printed row and a row of the grid that it describes, in the order of the printed rows."""
    by_thousands: dict[Any, list[GridRow]] = {}
    for cell in grid:
        by_thousands.setdefault((cell["dataset"], _thousands(cell["size"])), []).append(cell)
    for row in rows:
        for cell in by_thousands.get((row.dataset, _thousands(row.size)), ()):
            if describes(row, cell):
                yield row, cell


def _thousands(size: Any) -> int | None:
    """A size in thousands, as the paper prints it: Alpaca's 52,002 instances are 52k, AlpaGasus' 9,229 are 9k."""
    return round(int(size) / 1000) if size not in ("", None) else None
