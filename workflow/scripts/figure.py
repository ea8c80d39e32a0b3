"""Draw one figure of a results folder from its tables' CSV files: SVG, and the same as PNG beside it."""

import argparse
import importlib
from pathlib import Path

from closerlook.figures.registry import FIGURES
from closerlook.scripting import run


def main() -> None:
    """Read the tables, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=FIGURES, metavar="NAME", help=f"one of {', '.join(FIGURES)}")
    parser.add_argument("--results", type=Path, required=True, help="folder with tables/*.csv, e.g. results/mini")
    parser.add_argument("--out", type=Path, required=True, help="the .svg to write; the .png is written beside it")
    arguments = parser.parse_args()

    import matplotlib

    from closerlook.figures.style import STYLE, save
    from closerlook.tables.tidy import read_csv, table_of

    figure = FIGURES[arguments.name]
    paths = [arguments.results / path for path in figure.inputs]
    module, function = figure.draw.split(":")
    with matplotlib.rc_context(STYLE):
        drawn = getattr(importlib.import_module(module), function)(*(read_csv(path, table_of(path)) for path in paths))
        save(drawn, arguments.out)


if __name__ == "__main__":
    run(main)
