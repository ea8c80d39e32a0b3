"""What stands beside a figure: its caption, over how many responses, what is not in it, and how it was made."""

from closerlook.report.figures.common import Row, cell_labels, cell_of, measured
from closerlook.report.figures.registry import Figure
from closerlook.report.tables.registry import TABLES
from closerlook.text.escape import markdown


def page(figure: Figure, tables: list[list[Row]], name: str, command: str) -> str:
    """Markdown; `tables` are the rows that the figure was drawn from, `name` is that of its files without their ending."""
    rows = [row for table in tables for row in table]
    paragraphs = [f"# {figure.title}", f"![{figure.title}]({name}.svg)", figure.caption, *_counts(figure, tables)]
    there = set(map(cell_of, measured(rows)))
    missing = [label for identity, label in cell_labels(rows).items() if identity not in there]
    if missing:
        listed = "\n".join(f"- {markdown(label)}" for label in missing)
        files = " and ".join(f"tables/{table}.md" for table in figure.tables)
        paragraphs.append(f"## Missing\n\nNot drawn, no data; {files} has the commands that fill it.\n\n{listed}")
    return "\n\n".join([*paragraphs, f"Made by `{command}`. The same as {name}.png and {name}.pdf."]) + "\n"


def _counts(figure: Figure, tables: list[list[Row]]) -> list[str]:
    """Over how many responses (pairs, ...) the values are, for each table: from the fewest to the most."""
    said = []
    for name, rows in zip(figure.tables, tables, strict=True):
        counts = sorted({row["n"] for row in measured(rows)})
        if counts and TABLES[name].unit:
            span = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
            said.append(f"The values of tables/{name}.csv are over {span} {TABLES[name].unit}.")
    return said
