"""Reading parquet files: columns, and errors that name the file."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet

TABLE = pa.table({"id": ["a", "b"], "tokens": pa.array([[1, 2], []], pa.list_(pa.int32())), "text": ["é", "\0"]})


def test_columns_come_as_asked(tmp_path: Path) -> None:
    folder = tmp_path / "seed=1"  # not a partition of anything
    folder.mkdir()
    pq.write_table(TABLE, folder / "t.parquet")
    assert read_parquet(folder / "t.parquet").equals(TABLE)
    assert (
        read_parquet(folder / "t.parquet", columns=["text", "tokens"]).to_pydict()
        == TABLE.select(["text", "tokens"]).to_pydict()
    )


def test_an_absent_column_is_named_beside_those_that_are_there(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet")
    with pytest.raises(CloserlookError, match=r"t\.parquet: has no column start, end, found id, tokens, text$"):
        read_parquet(tmp_path / "t.parquet", columns=["id", "start", "end"])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table" * 100, None, "half", "folder"])
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "t.parquet"
    if content == "folder":
        path.mkdir()
    elif content == "half":
        pq.write_table(TABLE, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(CloserlookError, match=r"t\.parquet: cannot be read as parquet"):
        read_parquet(path)
