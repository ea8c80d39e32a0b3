"""Draw the tables and the page of a run that failed from what is there; say of each that could not be drawn why."""

import argparse
from pathlib import Path

from closerlook.config.flags import add_resume_flags, given_resume_words
from closerlook.core import layout
from closerlook.core.scripts import run
from closerlook.report.tables.registry import TABLES


def main() -> None:
    """A results folder in; its tables and its page out, with missing cells named in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=TABLES, metavar="NAME", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--results", type=Path, required=True, help="folder with grid.json, e.g. results/mini")
    add_resume_flags(parser)
    arguments = parser.parse_args()
    flags = given_resume_words(arguments)
    results: Path = arguments.results
    if not (results / layout.GRID).is_file():
        print(f"{results}: no table can be drawn before {layout.GRID} is written")
        return

    from closerlook.report.page.build import build
    from closerlook.report.tables.write import write_table

    for name in arguments.names:
        try:
            write_table(name, results, results / layout.table(name), flags)
        except Exception as error:  # whatever it is, the other tables must not wait for this one
            print(f"table {name} could not be drawn: {type(error).__name__}: {error}")
    try:
        build(results, (results / layout.PAGE).parent)
    except Exception as error:
        print(f"the page could not be made: {type(error).__name__}: {error}")
    folder = (results / layout.table("x")).parent
    print(
        f"Partial tables are in {folder}/: each .md names the cells that are missing and the command that fills them."
    )


if __name__ == "__main__":
    run(main)
