"""Where rows come from: a dataset on the Hugging Face hub or a local file. Everything is read as a stream of (row, record)."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import ValidationError

from closerlook.config.settings import FileSource, HubSource, WebSource
from closerlook.core.errors import CloserlookError

Source = HubSource | FileSource | WebSource
Rows = Iterator[tuple[int, Any]]
"""Pairs of the 0-based row (of a .jsonl file: the line) and its record; a line that does not parse has the record None."""

TIMEOUT = 60  # seconds in which a server must say something
BATCH = 1000  # rows decoded at a time, so that memory does not grow with the file


def parse_source(text: str) -> Source:
    """A source as JSON: {"hub": ..., "revision": ..., "split": ..., "config": ...}, {"file": ...} or {"url": ...}.

    Raises CloserlookError that names the key, what was found and what was expected.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise CloserlookError(f"source {text!r}: not valid JSON: {error}") from None
    kinds: dict[str, type[Source]] = {"hub": HubSource, "file": FileSource, "url": WebSource}
    keys = kinds.keys() & value if isinstance(value, dict) else set()
    if len(keys) != 1:
        raise CloserlookError(f'source {text!r}: expected an object with either "hub" or "file" (or "url")')
    try:
        return kinds[keys.pop()].model_validate(value)
    except ValidationError as error:
        problems = [f"{e['loc'][0]}: {e['msg']}, found {e['input']!r}" for e in error.errors()]
        raise CloserlookError(f"source {text!r}: {'; '.join(problems)}") from None


def describe(source: Source) -> str:
    """The source in a few words, for messages."""
    if isinstance(source, HubSource):
        return f"{source.hub}@{source.revision}, split {source.split}"
    return source.file if isinstance(source, FileSource) else source.url


def provenance(source: Source) -> dict[str, Any]:
    """The source as it stands in a report: a file without its folder, so that reports from two places compare equal."""
    return {"file": Path(source.file).name} if isinstance(source, FileSource) else source.model_dump(exclude_none=True)


def read_rows(source: Source) -> Rows:
    """All rows of a source, in its order. Raises CloserlookError when the source as a whole cannot be read."""
    if isinstance(source, HubSource):
        return _hub(source)
    name = describe(source)
    ending = Path(urlsplit(name).path if isinstance(source, WebSource) else name).suffix.lower()
    reader = READERS.get(ending)
    if reader is None:
        raise CloserlookError(f"{name}: found {ending or 'no file ending'}, expected one of {', '.join(READERS)}")
    return _web(source, reader) if isinstance(source, WebSource) else _guarded(Path(name), reader)


def _web(source: WebSource, reader: Callable[[Path], Rows]) -> Rows:
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(urlsplit(source.url).path).name
        try:
            with requests.get(source.url, stream=True, timeout=TIMEOUT) as answer, path.open("wb") as file:
                answer.raise_for_status()
                for chunk in answer.iter_content(1 << 20):
                    file.write(chunk)
        except requests.RequestException as error:
            raise CloserlookError(
                f"{source.url}: cannot be fetched ({type(error).__name__}: {error}); fetch it where there is network, or set "
                "`source` to a local file"
            ) from None
        yield from _guarded(path, reader)


def _guarded(path: Path, reader: Callable[[Path], Rows]) -> Rows:
    try:
        yield from reader(path)
    except FileNotFoundError:
        raise CloserlookError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise CloserlookError(f"{path}: not UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8") from None
    except OSError as error:  # pyarrow's errors for a damaged parquet file are among these
        raise CloserlookError(f"{path}: cannot be read: {error.strerror or error}") from None


def _json(path: Path) -> Rows:
    text = path.read_text(encoding="utf-8-sig")
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            hint = "if every line is a JSON object of its own, name the file .jsonl"
        else:
            hint = "is the file cut off?" if error.pos >= len(text.rstrip()) else "mend that line"
        where = f"line {error.lineno}, column {error.colno}"
        raise CloserlookError(f"{path}: not valid JSON, {where}: {error.msg}; {hint}") from None
    except (ValueError, RecursionError) as error:
        raise CloserlookError(f"{path}: not usable JSON: {error}") from None
    if not isinstance(records, list):
        raise CloserlookError(f"{path}: found a JSON {type(records).__name__}, expected a list of objects")
    yield from enumerate(records)


def _jsonl(path: Path) -> Rows:
    # Binary lines: str.splitlines would also split at U+2028 and the like, which JSON allows inside a string.
    with path.open("rb") as lines:
        for row, line in enumerate(lines):
            line = line.removeprefix(b"\xef\xbb\xbf") if row == 0 else line
            if line.strip():
                try:
                    yield row, json.loads(line.decode("utf-8"))
                except (ValueError, RecursionError):  # also: not UTF-8, absurdly long numbers, absurd nesting
                    yield row, None


def _parquet(path: Path) -> Rows:
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


def _csv(path: Path) -> Rows:
    csv.field_size_limit(sys.maxsize)  # the default refuses fields over 131,072 characters
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            for row, record in enumerate(reader):
                yield row, None if None in record else record  # the key None holds surplus fields
        except csv.Error as error:
            raise CloserlookError(f"{path}: not valid CSV, line {reader.line_num}: {error}") from None


READERS: dict[str, Callable[[Path], Rows]] = {".json": _json, ".jsonl": _jsonl, ".parquet": _parquet, ".csv": _csv}


def _hub(source: HubSource) -> Rows:
    from datasets import load_dataset

    try:
        dataset = load_dataset(source.hub, source.config, split=source.split, revision=source.revision)
    except Exception as error:  # a dozen unrelated kinds: of datasets, of the hub's client, of its HTTP library
        raise CloserlookError(f"hub dataset {describe(source)}: {_remedy(source, error)}") from error
    row = 0
    for table in dataset.with_format("arrow").iter(BATCH):
        yield from enumerate(table.to_pylist(), row)
        row += table.num_rows


def _remedy(source: HubSource, error: Exception) -> str:
    """What went wrong on the hub and what to do. `datasets` tells most causes apart by their text alone."""
    text = str(error)
    if "gated" in text:
        return (
            f"it is gated; accept its licence at https://huggingface.co/datasets/{source.hub}"
            " and set HF_TOKEN to a token of that account"
        )
    if text.startswith("Revision"):
        return f"it has no revision {source.revision!r}; set `revision` to a commit, tag or branch it has"
    if type(error).__name__ == "DatasetNotFoundError":
        return "not found; check the id, or set HF_TOKEN if it is private"
    if "scripts are no longer supported" in text:
        return "it is made by a script, which is not run; set `revision: refs/convert/parquet`, the hub's own copy"
    if isinstance(error, ConnectionError) and os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return "not in the local cache, and HF_HUB_OFFLINE forbids fetching it; unset HF_HUB_OFFLINE"
    if isinstance(error, ConnectionError):
        return "the hub cannot be reached; fetch it where there is network, or set `source` to a local file"
    return f"{type(error).__name__}: {text}"
