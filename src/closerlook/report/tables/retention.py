"""What tuned models kept of their base on general text: loss before and after, piece by piece, and KL divergence."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.files import read_parquet
from closerlook.core.schemas import RETENTION as COLUMNS
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import damaged, floats, means, shares, total
from closerlook.report.tables.pooling import tests_over_seeds
from closerlook.report.tables.table import IDENTITY, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.paired_tests import p_of_ratio

CELL = IDENTITY[:-1]


def measure_retention(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Loss, its difference to the base's on the same tokens, and KL, of each cell on one text; p of tuned cells alone.

    cells: all cells that read the text, over which p is corrected. Raises CloserlookError for a file without pieces.
    """
    tested: list[tuple[Row, Row, Estimate, float | None]] = []
    for cell, (file,) in cells:
        table = read_parquet(file)
        if not table.num_rows:
            raise damaged(file, "has no pieces")
        columns = {name: floats(table[name]) for name in COLUMNS.names if name != "id"}
        nats, tokens = columns["nats"], columns["tokens"]
        difference = nats - columns["base_nats"]
        per_token = {
            "nats_per_token": nats,
            "difference_to_base": difference,
            "kl_base_tuned": columns["kl_base_tuned"],
        }
        estimates = means(per_token, tokens) | means({"bits_per_byte": nats / np.log(2)}, columns["bytes"])
        estimates |= shares({"cut": columns["cut"]}) | {"tokens": total(tokens)}
        yield from ((cell, {}, metric, estimate) for metric, estimate in estimates.items())
        if cell["dataset"]:
            tested.append((cell, {}, estimates["difference_to_base"], p_of_ratio(difference, tokens)))
    yield from tests_over_seeds(tested)


def _read(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell and text, in `text`."""
    cells = {row["cell"]: row for row in grid}  # whatever its evalsets
    return (row | {"text": text} for row in cells.values() for text in row["retention"])


RETENTION = Table(
    name="retention",
    title="What was kept of the base model on general text",
    caption=(
        "One row per cell and text: loss on pieces of general text, how much higher it is than the base model's on the same "
        "tokens, and how far the predictions moved. A difference above 0 means that tuning made the text less likely."
    ),
    metrics=metrics.RETENTION,
    keys=("text",),
    unit="pieces",
    asks_for="retention",
    parts=(
        Part(
            (*CELL, "text"),
            (layout.retention("{cell}", "{text}"),),
            measure_retention,
            ("nats_per_token", "difference_to_base", "kl_base_tuned"),
            controls=True,
            over=_read,
            together=("text",),
        ),
    ),
)
