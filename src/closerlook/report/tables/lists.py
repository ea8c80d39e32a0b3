"""Per-token lists of a parquet file as flat arrays: entry i of every array is the same token of the same response."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet


class Tokens:
    """All response tokens of one file. Raises CloserlookError where two lists of a response differ in length.

    responses: number of rows. owner: [tokens] int64, the row each token belongs to. `self[name]`: [tokens], the column's
    values; numbers as float64 (a null is NaN, so that its response is counted as null), strings as they are.
    """

    def __init__(self, path: Path, columns: list[str]) -> None:
        table = read_parquet(path, columns=columns)
        lengths = {name: pc.fill_null(pc.list_value_length(table[name]), 0) for name in columns}
        for name in columns[1:]:
            if not lengths[name].equals(lengths[columns[0]]):
                row = pc.index(pc.not_equal(lengths[name], lengths[columns[0]]), True).as_py()
                found = f"{lengths[name][row]} entries, {columns[0]} {lengths[columns[0]][row]}"
                raise CloserlookError(
                    f"{path}: row {row}: {name} has {found}; delete the file and run its command again"
                )
        self._table = table
        self.responses = table.num_rows
        self.owner = np.repeat(np.arange(table.num_rows), np.asarray(lengths[columns[0]], dtype=np.int64))

    def __getitem__(self, name: str) -> np.ndarray:
        values = pc.list_flatten(self._table[name])
        if pa.types.is_string(values.type):
            return values.to_numpy()
        return pc.cast(values, pa.float64()).to_numpy()

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum of `values` [tokens] for each response: [responses] float64."""
        return np.bincount(self.owner, weights=values, minlength=self.responses)
