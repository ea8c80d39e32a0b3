"""Reading and writing files. A file is written under a temporary name and then renamed, so it is complete or absent."""

import csv
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from closerlook.core.errors import CloserlookError

DIGEST_RECORD = ".sha256.json"
NOT_IN_DIGEST = {DIGEST_RECORD, ".snakemake_timestamp"}
"""Files that are no part of a folder's content: its record, and what Snakemake adds to a folder when the job has ended."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path, for a file or a folder. It is renamed to `path` if the block succeeds and removed if it raises."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            _remove(path)  # os.replace refuses a folder that is not empty
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(value: Any, path: Path) -> None:
    """Write `value` as indented JSON with sorted keys; NaN raises ValueError, since it is not JSON."""
    write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write `text` as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path, description: str) -> str:
    """The text of a UTF-8 file, without a byte order mark and with line ends as "\\n".

    description: what the file is, for messages. Raises CloserlookError if the file cannot be read or is not UTF-8.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise CloserlookError(f"{description} {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CloserlookError(f"{description} {path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: Path) -> None:
    """Write a CSV with a header, without loss for any text. Numbers have 10 significant digits; more differ between machines.

    None and NaN are empty. Fields are quoted here, because before Python 3.13 csv.writer leaves a lone carriage return unquoted,
    which csv.reader refuses.
    """
    lines = [",".join(columns), *(",".join(_csv_field(row[column]) for column in columns) for row in rows)]
    write_text("\n".join(lines) + "\n", path)


def _csv_field(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = format(value, ".10g") if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def read_csv(path: Path, columns: Collection[str], what: str) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV that somebody wrote, each with its last line. what: the file's contents, for messages.

    Raises CloserlookError for a file that is missing or no CSV, a missing column, and a row with too few or too many values.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, what), newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise CloserlookError(f"{path}: cannot be read as CSV: {error}") from None
    names = ", ".join(reader.fieldnames or ())
    if absent := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise CloserlookError(f"{path}: has no column {', '.join(absent)}, found {names or 'nothing'}")
    if wrong := next((line for line, row in rows if None in row or None in row.values()), None):
        raise CloserlookError(f"{path}: line {wrong}: expected one value for each of {names}")
    return rows


def write_parquet(rows: pa.Table | list[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    """Write rows with exactly the columns of `schema`. Raises ValueError for a column that the schema does not have."""
    if not isinstance(rows, pa.Table):
        surplus = {key for row in rows for key in row} - set(schema.names)
        if surplus:
            raise ValueError(f"columns {sorted(surplus)} are not in the schema of {path.name}")
        rows = pa.Table.from_pylist(rows, schema=schema)
    with replacing(path) as temporary:
        pq.write_table(rows.cast(schema), temporary, compression="zstd")


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file. Raises CloserlookError if it is missing or damaged, or lacks one of `columns`."""
    try:
        with pq.ParquetFile(path) as file:
            if absent := [name for name in columns or () if name not in file.schema_arrow.names]:
                found = ", ".join(file.schema_arrow.names)
                raise CloserlookError(f"{path}: has no column {', '.join(absent)}, found {found}")
            return file.read(columns=columns)
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise CloserlookError(f"{path}: cannot be read as parquet: {error}") from error


def read_ids(path: Path) -> list[str]:
    """The column `id` of a parquet file, in the file's order."""
    return read_parquet(path, columns=["id"])["id"].to_pylist()


def read_by_id(path: Path, column: str) -> dict[str, Any]:
    """A column of a parquet file by the column `id`, in the file's order."""
    table = read_parquet(path, columns=["id", column])
    return dict(zip(table["id"].to_pylist(), table[column].to_pylist(), strict=True))


def sha256(path: Path) -> str:
    """Hex digest of a file, or of a folder's files (names and contents, in sorted order).

    That of a folder is read from its record (record_digest), unless one of its files has changed since.
    """
    path = Path(path)
    if path.is_file():
        return _hash([path], path)
    states = _states(path)
    try:
        record = json.loads((path / DIGEST_RECORD).read_text(encoding="utf-8"))
        if record["files"] == states:
            return str(record["sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        pass  # there is none, or none that can be read
    return _hash([path / name for name in states], path)


def record_digest(folder: Path) -> None:
    """Write a folder's digest into it, with the sizes and times of its files. `sha256` then does not read all weights again."""
    write_json({"files": _states(folder), "sha256": sha256(folder)}, folder / DIGEST_RECORD)


def _states(folder: Path) -> dict[str, list[int]]:
    """Size in bytes and time of the last change in nanoseconds of each file in a folder, by its name, sorted by path."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in NOT_IN_DIGEST)
    states = ((file.relative_to(folder).as_posix(), file.stat()) for file in files)
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states}


def _hash(files: Iterable[Path], path: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode() if file != path else b"")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
