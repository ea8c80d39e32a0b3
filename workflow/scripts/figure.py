"""Draw one figure of a results folder from its tables' CSV files: SVG, the same as PNG and PDF, and a page with its caption."""

import argparse
import shlex
from pathlib import Path

from closerlook.core.scripts import run
from closerlook.report.figures.registry import FIGURES


def main() -> None:
    """Read the tables, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=FIGURES, metavar="NAME", help=f"one of {', '.join(FIGURES)}")
    parser.add_argument("--results", type=Path, required=True, help="folder with tables/*.csv, e.g. results/mini")
    parser.add_argument(
        "--out", type=Path, required=True, help="the .svg to write; .png, .pdf and .md get the same name"
    )
    arguments = parser.parse_args()

    import matplotlib

    from closerlook.core.files import write_text
    from closerlook.report.figures.drawing import DRAW
    from closerlook.report.figures.page import page
    from closerlook.report.figures.style import STYLE, save
    from closerlook.report.tables.pooling import summarized
    from closerlook.report.tables.registry import table_of
    from closerlook.report.tables.tidy import read_csv

    figure = FIGURES[arguments.name]
    paths = [arguments.results / path for path in figure.inputs]
    tables = [summarized(read_csv(path, table_of(path))) for path in paths]
    with matplotlib.rc_context(STYLE):
        save(DRAW[arguments.name](*tables), arguments.out)
    again = [arguments.name, "--results", str(arguments.results), "--out", str(arguments.out)]
    command = shlex.join(["python", "workflow/scripts/figure.py", *again])
    write_text(page(figure, tables, arguments.out.stem, command), arguments.out.with_suffix(".md"))


if __name__ == "__main__":
    run(main)
