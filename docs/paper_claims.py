"""Write the answers to the claims from the paper's printed numbers alone: `python docs/paper_claims.py`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from closerlook.config.rows import GridRow, write_grid
from closerlook.core.files import write_csv, write_text
from closerlook.report.tables.build import build
from closerlook.report.tables.claims import ALL
from closerlook.report.tables.draw import to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections

FOLDER = Path(__file__).parent / "results" / "paper"


def main(folder: Path = FOLDER) -> None:
    """Write the table of a grid that asks for the paper's claims and has no cells of its own to decide them by."""
    table, out = TABLES["claims"], folder / "claims.csv"
    with TemporaryDirectory() as results:
        row = GridRow(cell="none/none/none", model="none", method="none", evalset="none", paper_claims=True)
        write_grid([row], Path(results))
        rows, _ = build("claims", table, Path(results))
    write_csv((row for row in rows if row["scope"] == ALL), table.columns, out)
    answers = sections(read_csv(out, table), table)[:1]
    write_text(to_markdown(answers, table, [], "python docs/paper_claims.py"), out.with_suffix(".md"))


if __name__ == "__main__":
    main()
