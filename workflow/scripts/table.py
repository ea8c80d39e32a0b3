"""Make one table of a results folder: tidy CSV, and Markdown and LaTeX drawn from it. Cells that are not there yet are named."""

import argparse
import shlex
from pathlib import Path

from closerlook.core.scripts import run
from closerlook.report.tables.registry import TABLES


def main() -> None:
    """Measure, write the CSV, and draw the other two from what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=TABLES, metavar="NAME", help=f"one of {', '.join(TABLES)}")
    parser.add_argument("--results", type=Path, required=True, help="folder with grid.csv, e.g. results/mini")
    parser.add_argument("--out", type=Path, required=True, help="the .csv to write; .md and .tex are written beside it")
    parser.add_argument(
        "--configfile", nargs="+", default=[], help="preset, for the commands that fill what is missing"
    )
    arguments = parser.parse_args()

    from closerlook.core.files import write_text
    from closerlook.report.tables.build import build
    from closerlook.report.tables.draw import to_latex, to_markdown
    from closerlook.report.tables.tidy import read_csv, write_csv
    from closerlook.report.tables.wide import sections

    table = TABLES[arguments.name]
    rows, missing = build(arguments.name, table, arguments.results, arguments.configfile)
    write_csv(rows, table, arguments.out)
    # Without the configuration files: a whole table is the same bytes, whether a finished or a failed run drew it.
    again = [arguments.name, "--results", str(arguments.results), "--out", str(arguments.out)]
    command = shlex.join(["python", "workflow/scripts/table.py", *again])
    drawing = (sections(read_csv(arguments.out, table), table), table, missing, command)
    write_text(to_markdown(*drawing), arguments.out.with_suffix(".md"))
    write_text(to_latex(*drawing), arguments.out.with_suffix(".tex"))


if __name__ == "__main__":
    run(main)
