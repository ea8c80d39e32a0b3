"""Search an index for all phrases of a file."""

import json
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import replacing
from closerlook.trace.index import Index


def search(folder: Path, phrases: Path, out: Path) -> None:
    """Write {"phrase", "count", "ids"} for each line {"phrase": ...} of `phrases`, in their order.

    count: number of instances that contain the exact phrase (case-sensitive) in the instruction or the response.
    ids: their ids, in the dataset's order. The empty phrase is found nowhere. Raises CloserlookError for a line of another form.
    """
    index = Index(folder)
    with replacing(out) as temporary, temporary.open("w", encoding="ascii", newline="\n") as output:
        for phrase in tqdm(read_phrases(phrases), desc="search", unit=" phrases"):
            ids = [index.ids[row] for row in index.exact.documents(phrase).tolist()]
            # JSON escapes non-ASCII text: a phrase can contain a lone surrogate ("\ud83d"), which UTF-8 cannot encode.
            output.write(json.dumps({"phrase": phrase, "count": len(ids), "ids": ids}) + "\n")


def read_phrases(path: Path) -> Iterator[str]:
    """The phrases of a JSON Lines file, in its order; empty lines are skipped."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line.decode("utf-8-sig"))
                except (ValueError, RecursionError) as error:
                    raise CloserlookError(f"{path}, line {number}: not valid JSON in UTF-8: {error}") from None
                if not isinstance(record, dict) or not isinstance(record.get("phrase"), str):
                    found = line.decode().strip()[:80]
                    raise CloserlookError(f'{path}, line {number}: found {found}, expected {{"phrase": "some text"}}')
                yield record["phrase"]
    except OSError as error:
        raise CloserlookError(f"{path}: cannot be read: {error.strerror}") from None
