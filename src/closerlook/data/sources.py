"""Read rows from a hub dataset, a local file or a URL, as a stream of (row, record)."""

import csv
import gzip
import io
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import requests

from closerlook.config.settings import FileSource, HubSource, WebSource
from closerlook.config.source_files import RowSource
from closerlook.core.errors import CloserlookError

Rows = Iterator[tuple[int, Any]]
"""Pairs of a 0-based row (in .jsonl files: the line) and its record, which is None if a line cannot be parsed."""
Reader = Callable[[Path], Rows]
GZIP = ".gz"

TIMEOUT = 60  # seconds without data from a server
BATCH = 1000  # rows decoded at a time, so that memory use does not depend on the file's size


def describe(source: RowSource) -> str:
    """A short description of a source, for messages."""
    if isinstance(source, HubSource):
        return f"{source.hub}@{source.revision}, split {source.split}"
    return source.file if isinstance(source, FileSource) else source.url


def provenance(source: RowSource) -> dict[str, Any]:
    """The source for a report: a file without its folder, so that reports do not depend on where files are."""
    return {"file": Path(source.file).name} if isinstance(source, FileSource) else source.model_dump(exclude_none=True)


def read_rows(source: RowSource, streaming: bool = False) -> Rows:
    """All rows of a source, in its order. Raises CloserlookError if the source cannot be read.

    streaming: of a hub dataset, download only what is read, for a caller that stops early (offline, all of it is in the cache).
    """
    if isinstance(source, HubSource):
        return _read_hub(source, streaming)
    name = describe(source)
    path = Path((urlsplit(name).path if isinstance(source, WebSource) else name).lower())
    ending = "".join(path.suffixes[-2:]) if path.suffix == GZIP else path.suffix
    reader = READERS.get(ending)
    if reader is None:
        raise CloserlookError(f"{name}: found {ending or 'no file ending'}, expected one of {', '.join(READERS)}")
    return _read_url(source, reader) if isinstance(source, WebSource) else _read_file(Path(name), reader)


def _read_url(source: WebSource, reader: Reader) -> Rows:
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(urlsplit(source.url).path).name
        try:
            with requests.get(source.url, stream=True, timeout=TIMEOUT) as response, path.open("wb") as file:
                response.raise_for_status()
                for chunk in response.iter_content(1 << 20):
                    file.write(chunk)
        except requests.RequestException as error:
            raise CloserlookError(
                f"{source.url}: cannot be downloaded ({type(error).__name__}: {error}); run this with network access, or set "
                "`source` to a local file"
            ) from None
        yield from _read_file(path, reader)


def _read_file(path: Path, reader: Reader) -> Rows:
    try:
        yield from reader(path)
    except FileNotFoundError:
        raise CloserlookError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise CloserlookError(f"{path}: not UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:  # pyarrow's errors for a damaged parquet file are OSErrors
        raise CloserlookError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _open(path: Path) -> BinaryIO:
    """A file's bytes, decompressed if its name ends with .gz."""
    return cast(BinaryIO, gzip.open(path) if path.suffix.lower() == GZIP else path.open("rb"))


def read_plain(path: Path) -> str:
    """The text of a file without rows, maybe compressed. Raises CloserlookError if it cannot be read."""
    ((_, text),) = _read_file(path, _read_whole)
    return str(text)


def _read_whole(path: Path) -> Rows:
    with _open(path) as file:
        yield 0, io.TextIOWrapper(file, encoding="utf-8-sig").read()


def _read_json(path: Path) -> Rows:
    ((_, text),) = _read_whole(path)
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            hint = "if each line is a JSON object, rename the file to .jsonl"
        else:
            hint = "is the file cut off?" if error.pos >= len(text.rstrip()) else "correct that line"
        raise CloserlookError(
            f"{path}: not valid JSON, line {error.lineno}, column {error.colno}: {error.msg}; {hint}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CloserlookError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(records, list):
        raise CloserlookError(f"{path}: found a JSON {type(records).__name__}, expected a list of objects")
    yield from enumerate(records)


def _read_jsonl(path: Path) -> Rows:
    # Binary lines: text would also be split at U+2028 and the like, which JSON allows inside a string.
    with _open(path) as lines:
        for row, line in enumerate(lines):
            line = line.removeprefix(b"\xef\xbb\xbf") if row == 0 else line
            if line.strip():
                try:
                    yield row, json.loads(line.decode("utf-8"))
                except (ValueError, RecursionError):  # also: not UTF-8, very long numbers, very deep nesting
                    yield row, None


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            row = 0
            for batch in file.iter_batches(BATCH):
                yield from enumerate(batch.to_pylist(), row)
                row += batch.num_rows
    except pa.ArrowInvalid as error:
        raise CloserlookError(f"{path}: cannot be read as parquet: {error}") from None


def _read_csv(path: Path) -> Rows:
    csv.field_size_limit(sys.maxsize)  # the default refuses fields over 131,072 characters
    with io.TextIOWrapper(_open(path), encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            for row, record in enumerate(reader):
                yield row, None if None in record else record  # the key None has surplus fields
        except csv.Error as error:
            raise CloserlookError(f"{path}: not valid CSV, line {reader.line_num}: {error}") from None


READERS: dict[str, Reader] = {".json": _read_json, ".jsonl": _read_jsonl, ".parquet": _read_parquet, ".csv": _read_csv}
READERS |= {ending + GZIP: READERS[ending] for ending in (".json", ".jsonl", ".csv")}


def _read_hub(source: HubSource, streaming: bool) -> Rows:
    from datasets import load_dataset

    try:
        dataset = load_dataset(
            source.hub,
            source.config,
            split=source.split,
            revision=source.revision,
            streaming=streaming and not _is_offline(),
        )
        row = 0
        for table in dataset.with_format("arrow").iter(BATCH):
            yield from enumerate(table.to_pylist(), row)
            row += table.num_rows
    except Exception as error:  # unrelated classes of datasets, the hub's client and its HTTP library
        raise CloserlookError(f"hub dataset {describe(source)}: {_remedy(source, error)}") from error


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")


def _remedy(source: HubSource, error: Exception) -> str:
    """What went wrong on the hub, and what to do. Most errors of `datasets` differ only in their text."""
    text = str(error)
    if "gated" in text:
        return (
            f"it is gated; accept its license at https://huggingface.co/datasets/{source.hub}"
            " and set HF_TOKEN to a token of that account"
        )
    if text.startswith("Revision"):
        return f"it has no revision {source.revision!r}; set `revision` to a commit, tag or branch it has"
    if type(error).__name__ == "DatasetNotFoundError":
        return "not found; check the id, or set HF_TOKEN if it is private"
    if "scripts are no longer supported" in text:
        return "it needs a script, which is not run; set `revision: refs/convert/parquet`, the hub's converted copy"
    if isinstance(error, ConnectionError) and _is_offline():
        return "not in the local cache, and HF_HUB_OFFLINE is set; unset HF_HUB_OFFLINE"
    if isinstance(error, ConnectionError):
        return "the hub cannot be reached; run this with network access, or set `source` to a local file"
    return f"{type(error).__name__}: {text}"
