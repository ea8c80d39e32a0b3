"""Write a table of a results folder: the tidy CSV, and the Markdown and LaTeX drawn from it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from closerlook.core.files import write_csv, write_text
from closerlook.report.tables.build import build
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections


def write_table(name: str, results: Path, out: Path, flags: Sequence[str] = ()) -> None:
    """Measure the table `name`; write it to `out` (.csv), and to .md and .tex of the same name.

    flags: for the commands that make missing files (config.flags). Raises CloserlookError for files that cannot be read.
    """
    table = TABLES[name]
    rows, missing = build(name, table, results, flags)
    write_csv(rows, table.columns, out)
    # Without flags: a complete table is the same bytes, whether a finished or a failed run drew it.
    command = shlex.join(["python", "workflow/scripts/table.py", name, "--results", str(results), "--out", str(out)])
    drawing = (sections(read_csv(out, table), table), table, missing, command)
    write_text(to_markdown(*drawing), out.with_suffix(".md"))
    write_text(to_latex(*drawing), out.with_suffix(".tex"))
