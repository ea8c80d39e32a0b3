"""Make one table of a results folder: tidy CSV, and Markdown and LaTeX drawn from it. Cells that are missing are named."""

import argparse
from pathlib import Path

from closerlook.config.flags import add_resume_flags, given_resume_words
from closerlook.core.scripts import run
from closerlook.report.tables.registry import TABLES


def main() -> None:
    """Measure, write the CSV, and draw the other two from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=TABLES, metavar="NAME", help=f"one of {', '.join(TABLES)}")
    parser.add_argument("--results", type=Path, required=True, help="folder with grid.json, e.g. results/mini")
    parser.add_argument("--out", type=Path, required=True, help="the .csv to write; .md and .tex get the same name")
    add_resume_flags(parser)
    arguments = parser.parse_args()

    from closerlook.report.tables.write import write_table

    write_table(arguments.name, arguments.results, arguments.out, given_resume_words(arguments))


if __name__ == "__main__":
    run(main)
