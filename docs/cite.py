"""Write the numbers of documents from the tables that they link to: `python docs/cite.py`; with --check, only compare.

A number is the text of a link to the CSV of a table, whose title says which row it is from:

    [98.8% (93.2, 100.0)](accuracy.csv "right, dataset=brief, method=lft, facts=known")

The title begins with the metric; `key=value` pairs follow until one row is left (of several trainings, their mean). A further
word says what is written: `value` (without its interval) or `n`; without one, the value and its interval. With a seed, the row of
that training.

A run of which only the drawn tables are kept is cited from these, in the same way: the title begins with the heading of a column.

    [0.286 (0.262, 0.315)](shift.md "KL(base‖tuned) in nats, dataset=alpaca, method=lft")
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

RUNS = ("miniature", "miniature-full", "gemma-3-270m-cpu")
DOCUMENTS = ("README.md", "docs/paper.md", *(f"docs/results/{run}/README.md" for run in RUNS))
"""Relative to the repository."""
_LINK = re.compile(r'\[(?P<text>[^\]]*)\]\((?P<file>[^)\s]+\.(?:csv|md)) "(?P<title>[^"]*)"\)')


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
    path = folder / link["file"]
    number = drawn(path, link["title"]) if path.suffix == ".md" else cited(path, link["title"])
    return f'[{number}]({link["file"]} "{link["title"]}")'


def drawn(path: Path, title: str) -> str:
    """The cell that a title names in a drawn table. Raises ValueError if it is not one row's."""
    words = title.split(", ")
    wanted = dict(word.split("=", 1) for word in words if "=" in word)
    heading = ", ".join(word for word in words if "=" not in word and word != "value")
    found: list[str] = []
    header: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        header = header if header and cells else cells  # the first line of a table
        row = dict(zip(header, cells, strict=True))
        if heading in row and wanted.items() <= row.items():
            found.append(row[heading])
    if len(found) != 1:
        raise ValueError(f"{path}: {title!r} names {len(found)} rows, expected 1: {found[:3]}")
    return found[0].partition(" (")[0] if "value" in words else found[0]


def cited(path: Path, title: str) -> str:
    """The number that a title names in a table's CSV. Raises ValueError if it is not one row's."""
    metric, *words = [word.strip() for word in title.split(",")]
    wanted = dict(word.split("=", 1) for word in words if "=" in word)
    (part,) = [word for word in words if "=" not in word] or [""]
    table = TABLES[path.stem]
    measured = read_csv(path, table)
    rows = [
        row
        for row in (measured if "seed" in wanted else summarized(measured))
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
