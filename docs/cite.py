"""Write the numbers of documents from the tables that they link to: `python docs/cite.py`; with --check, only compare.

A number is the text of a link to the CSV of a table, whose title says which row it is from:

    [98.8% (93.2, 100.0)](accuracy.csv "right, dataset=brief, method=lft, facts=known")

The title begins with the metric; `key=value` pairs follow until one row is left (of several trainings, their mean). A further
word says what is written: `value` (without its interval) or `n`; without one, the value and its interval.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from closerlook.report.tables.pooling import summarized
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.table import Row
from closerlook.report.tables.tidy import read_csv
from closerlook.text.escape import number

DOCUMENTS = ("README.md", "docs/paper.md", "docs/results/miniature/README.md", "docs/results/miniature-full/README.md")
"""Relative to the repository."""
_LINK = re.compile(r'\[(?P<text>[^\]]*)\]\((?P<file>[^)\s]+\.csv) "(?P<title>[^"]*)"\)')


def main() -> None:
    """Rewrite the documents, or say what differs and exit with 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if a number is not the table's"
    )
    arguments = parser.parse_args()
    repository = Path(__file__).parents[1]
    differing = 0
    for document in (repository / name for name in DOCUMENTS):
        text = document.read_text(encoding="utf-8")
        written = _LINK.sub(partial(_cite, folder=document.parent), text)
        for before, after in _changes(text, written):
            print(f"{document.relative_to(repository)}: {before} is {after}", file=sys.stderr)
            differing += 1
        if not arguments.check:
            document.write_text(written, encoding="utf-8")
    sys.exit(1 if arguments.check and differing else 0)


def _cite(link: re.Match[str], folder: Path) -> str:
    return f'[{cited(folder / link["file"], link["title"])}]({link["file"]} "{link["title"]}")'


def cited(path: Path, title: str) -> str:
    """The number that a title names in a table's CSV. Raises ValueError if it is not one row's."""
    metric, *words = [word.strip() for word in title.split(",")]
    wanted = dict(word.split("=", 1) for word in words if "=" in word)
    (part,) = [word for word in words if "=" not in word] or [""]
    table = TABLES[path.stem]
    rows = [
        row
        for row in summarized(read_csv(path, table))
        if row["metric"] == metric and all(row[name] == value for name, value in wanted.items())
    ]
    if len(rows) != 1:
        raise ValueError(f"{path}: {title!r} names {len(rows)} rows, expected 1: {rows[:3]}")
    return _text(rows[0], table.metrics[metric].kind, part)


def _text(row: Row, kind: Literal["number", "share", "count", "flag"], part: str) -> str:
    if part == "n":
        return f"{row['n']:,}"
    text = number(row["value"], kind)
    if part == "value" or row["ci_low"] is None:
        return text
    return f"{text} ({number(row['ci_low'], kind, '')}, {number(row['ci_high'], kind, '')})"


def _changes(before: str, after: str) -> Iterator[tuple[str, str]]:
    pairs = zip(_LINK.finditer(before), _LINK.finditer(after), strict=True)
    return ((one["text"], other["text"]) for one, other in pairs if one["text"] != other["text"])


if __name__ == "__main__":
    main()
