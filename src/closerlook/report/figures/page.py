"""The Markdown page of a figure: its caption, the numbers behind it, the cells without data, and the command that made it."""

from closerlook.report.figures.registry import Figure
from closerlook.report.figures.rows import Row, measured, missing_labels
from closerlook.report.tables.registry import TABLES
from closerlook.text.escape import markdown


def page(figure: Figure, tables: list[list[Row]], name: str, command: str) -> str:
    """Markdown. tables: the rows that the figure was drawn from. name: of the figure's files, without suffix."""
    paragraphs = [f"# {figure.title}", f"![{figure.title}]({name}.svg)", figure.caption]
    for table, rows in zip(figure.tables, tables, strict=True):
        counts = sorted({row["n"] for row in measured(rows)})
        if counts and TABLES[table].unit:
            span = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
            paragraphs.append(f"The values of tables/{table}.csv are over {span} {TABLES[table].unit}.")
    if missing := missing_labels([row for rows in tables for row in rows]):
        listed = "\n".join(f"- {markdown(label)}" for label in missing)
        files = " and ".join(f"tables/{table}.md" for table in figure.tables)
        paragraphs.append(f"## Missing\n\nNot drawn, no data; {files} has the commands that fill it.\n\n{listed}")
    return "\n\n".join([*paragraphs, f"Made by `{command}`. The same as {name}.png and {name}.pdf."]) + "\n"
