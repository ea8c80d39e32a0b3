"""A preset with markers, tracing, paraphrases and the causal test, for tests of what belongs together and of what is refused."""

from typing import Any

from closerlook.config import load
from closerlook.config.load import Configuration
from closerlook.config.rows import GridRow, grid_rows
from tests.support import REPOSITORY

FILE = "config/mine.yaml"
PRESET: dict[str, Any] = {
    "preset": "mine",
    "template": "miniature",
    "markers": ["oracle", "consistency"],
    "tracing": {"unrelated": {"brief": "brief-third"}, "calibrate": {"brief-elsewhere": "brief"}},
    "grid": [
        {
            "models": ["miniature"],
            "datasets": ["brief"],
            "methods": ["lft", "sft"],
            "evalsets": ["questions", "questions-reworded"],
        },
        {
            "models": ["miniature"],
            "datasets": ["brief@100", "brief-elsewhere", "brief-without-traced", "brief-without-similar"],
            "methods": ["sft"],
            "evalsets": ["questions"],
        },
        {"models": ["miniature"], "methods": ["base", "icl"], "evalsets": ["questions"]},
    ],
}


def read(preset: dict[str, Any]) -> Configuration:
    """The preset, checked."""
    return load.load(preset, FILE, REPOSITORY)


def row(configuration: Configuration, cell: str) -> GridRow:
    """The first row of a cell in the grid."""
    return next(row for row in grid_rows(configuration) if row.cell == cell)


def without(**changed: Any) -> dict[str, Any]:
    """Overrides of the causal test's settings."""
    settings = {"cell": "miniature/brief/sft", "evalset": "questions", "marker": "oracle", "take": "traced"} | changed
    return {"datasets": {"brief-without-traced": {"source": {"of": "brief", "without": settings}}}}
