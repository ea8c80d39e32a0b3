"""The function that draws each figure. Importing it imports matplotlib; the registry does not."""

from collections.abc import Callable

from matplotlib.figure import Figure

from closerlook.report.figures import (
    accuracy,
    borrowing,
    lengths,
    origin,
    radar,
    scores,
    sentence_parts,
    simplification,
    token_shift,
    top_tokens,
    tradeoff,
)
from closerlook.report.figures.registry import FIGURES

DRAW: dict[str, Callable[..., Figure]] = {
    "token_shift": token_shift.draw,
    "kl_by_sentence_part": sentence_parts.draw,
    "top_shifted_tokens": top_tokens.draw,
    "lengths": lengths.draw,
    "accuracy": accuracy.draw,
    "scores_by_aspect": scores.draw,
    "scores_radar": radar.draw,
    "origin": origin.draw,
    "borrowing": borrowing.draw,
    "scores_by_task": scores.draw_tasks,
    "tasks_radar": radar.draw_tasks,
    "simplification": simplification.draw,
    "tradeoff": tradeoff.draw,
}
"""By name: a function from the rows of each of the figure's tables, in the order of `Figure.tables`, to the drawing."""

assert DRAW.keys() == FIGURES.keys()
