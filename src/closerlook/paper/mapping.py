"""Which cells of a grid a printed row is about: the paper's names beside the catalog's."""

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
"""Datasets, evalsets and methods have one name in both."""
UNTUNED = ("chat", "ask")
"""The controls that the paper's untuned rows are; of a chat model, no other is what the paper scored."""
IMPROVED = {"alpagasus": "alpaca", "dolly-filtered": "dolly", "evol-instruct": "alpaca"}
"""Datasets of section 6 that are to improve tuning, and the plain one that Figure 9 sets each beside."""

GridRow = Mapping[str, Any]
"""A row of grid.csv."""


def is_about(row: Printed, grid: GridRow) -> bool:
    """Whether a printed row is about a row of grid.csv. What it leaves open (a length has no model) may be anything."""
    return (
        (not row.model or MODELS.get(row.model) == grid["model"])
        and (row.dataset == grid["dataset"] if row.dataset or row.method == "none" else True)
        and _thousands(row.size) == _thousands(grid["size"])
        and (grid["method"] in UNTUNED if row.method == "none" else row.method in ("", grid["method"]))
        and row.evalset in ("", grid["evalset"])
    )


def matching(rows: Iterable[Printed], grid: Iterable[GridRow]) -> Iterator[tuple[Printed, GridRow]]:
    """Every pair of a printed row and a row of the grid that it is about, in the order of the rows."""
    by_thousands: dict[Any, list[GridRow]] = {}
    for one in grid:
        by_thousands.setdefault((one["dataset"], _thousands(one["size"])), []).append(one)
    for row in rows:
        for one in by_thousands.get((row.dataset, _thousands(row.size)), ()):
            if is_about(row, one):
                yield row, one


def _thousands(size: Any) -> int | None:
    """Sizes as the paper gives them: Alpaca's 52,002 instances are 52k, AlpaGasus' 9,229 are 9k."""
    return round(int(size) / 1000) if size not in ("", None) else None
