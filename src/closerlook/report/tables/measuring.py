"""Parts that several measurements share: tokens and columns of parquet files, and estimates by name."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.report.tables.table import Measured
from closerlook.stats.bootstrap import Estimate, Ratio, ratios
from closerlook.stats.proportions import proportions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def damaged(path: Path, problem: str) -> CloserlookError:
    """The error for a file whose contents cannot be right."""
    return CloserlookError(f"{path}: {problem}; delete the file and run its command again")


class Tokens:
    """All response tokens of one file. Raises CloserlookError if two lists of a response differ in length.

    responses: number of rows. owner: [tokens] int64, the row of each token. `self[name]`: [tokens], the column's values;
    numbers as float64 (a null is NaN, so its response counts as null), strings unchanged.
    """

    def __init__(self, path: Path, columns: list[str]) -> None:
        table = read_parquet(path, columns=columns)
        lengths = {name: pc.fill_null(pc.list_value_length(table[name]), 0) for name in columns}
        for name in columns[1:]:
            if not lengths[name].equals(lengths[columns[0]]):
                row = pc.index(pc.not_equal(lengths[name], lengths[columns[0]]), True).as_py()
                sizes = f"{lengths[name][row]} entries, {columns[0]} {lengths[columns[0]][row]}"
                raise damaged(path, f"row {row}: {name} has {sizes}")
        self._table = table
        self.responses = table.num_rows
        self.owner = np.repeat(np.arange(table.num_rows), np.asarray(lengths[columns[0]], dtype=np.int64))

    def __getitem__(self, name: str) -> np.ndarray:
        values = pc.list_flatten(self._table[name])
        return values.to_numpy() if pa.types.is_string(values.type) else floats(values)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum of `values` [tokens] for each response: [responses] float64."""
        return np.bincount(self.owner, weights=values, minlength=self.responses)


def floats(values: pa.ChunkedArray) -> np.ndarray:
    """Numbers or booleans as float64; a null is NaN, so its response counts as null."""
    return pc.cast(values, pa.float64()).to_numpy()


def means(columns: Mapping[str, np.ndarray], counts: np.ndarray | None = None) -> dict[str, Estimate]:
    """Mean of each column [responses], or its sum divided by that of `counts` [responses], with intervals over responses."""
    return _by_name(ratios, columns, counts)


def shares(columns: Mapping[str, np.ndarray], counts: np.ndarray | None = None) -> dict[str, Estimate]:
    """The same for shares: numbers from 0 to 1, or sums from 0 to their count. Their intervals are exact."""
    return _by_name(proportions, columns, counts)


def share_of(values: np.ndarray, units: np.ndarray, members: np.ndarray) -> Ratio:
    """The mean of the values, from 0 to 1, of some members, with its interval over their units.

    values, units, members (whether): [items]; items of one unit are not independent.
    """
    sums, counts = sums_by_unit(values, units, members)
    share = shares({"": sums}, counts)[""]
    assert isinstance(share, Ratio)
    return share


def sums_by_unit(values: np.ndarray, units: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the members' values and their number, for each unit that has any: [units] float64 each."""
    _, owner = np.unique(units[members], return_inverse=True)
    return np.bincount(owner, weights=values[members]), np.bincount(owner).astype(np.float64)


def _by_name(
    estimator: Callable[[np.ndarray, np.ndarray], list[Estimate]],
    columns: Mapping[str, np.ndarray],
    counts: np.ndarray | None,
) -> dict[str, Estimate]:
    sums = np.column_stack(list(columns.values()))
    return dict(zip(columns, estimator(sums, np.ones(1) if counts is None else counts[:, None]), strict=True))


def total(counts: np.ndarray) -> Estimate:
    """Sum of `counts` [responses]; n: responses that have any."""
    n = int(np.count_nonzero(counts))
    return Estimate(float(counts.sum()), n=n, n_null=len(counts) - n)


def null_counts(causes: Iterable[str], counts: Mapping[str, int], n: int, n_null: int) -> dict[str, Estimate]:
    """The number of nulls by cause, under the metrics' names."""
    return {f"null_{cause.replace(' ', '_')}": Estimate(float(counts[cause]), n=n, n_null=n_null) for cause in causes}


def labeled(keys: Mapping[str, object], estimates: Mapping[str, Estimate]) -> Iterator[Measured]:
    """Each estimate, by metric, with the values of the key columns."""
    return ((keys, metric, estimate) for metric, estimate in estimates.items())


@cache  # a grid has a few models and many cells
def tokenizer_of(model: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer in a model's folder."""
    from closerlook.models.load import load_tokenizer  # heavy

    return load_tokenizer(model)


def response_tokens(model: Path, responses: Sequence[str]) -> list[list[int]]:
    """Token ids of each response as in training, without the end-of-sequence token."""
    from closerlook.data.prompts import encode_responses  # heavy

    tokenizer = tokenizer_of(model)
    return [ids[:-1] for ids in encode_responses(tokenizer, responses)]
