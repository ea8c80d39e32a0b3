"""A wide table as Markdown and as LaTeX."""

from closerlook.tables.build import Missing
from closerlook.tables.registry import Table
from closerlook.tables.statistics import RESAMPLES, SEED
from closerlook.tables.text import latex, markdown, visible
from closerlook.tables.wide import Wide

LONGEST_TABULAR = 40  # lines; more are broken over pages


def to_markdown(wide: Wide, table: Table, missing: list[Missing], command: str) -> str:
    """A page: title, what is measured, the table, what is missing and how to fill it, and how the page was made."""
    alignment = ["--:" if align == "r" else ":--" for align in wide.align]
    lines = [[markdown(cell) for cell in line] for line in [wide.header, *wide.lines]]
    drawn = [f"| {' | '.join(line)} |" for line in [lines[0], alignment, *lines[1:]]]
    body = "\n".join(drawn) if lines[1:] else "The grid has no cell that this table is about."
    paragraphs = [f"# {table.title}", table.caption, _reading(table), body]
    if wide.common:
        paragraphs.insert(3, f"All rows: {markdown(wide.common)}.")
    if missing:
        rows = "\n".join(f"- {markdown(item.what)}: {_code(item.command)}" for item in missing)
        paragraphs.append(f"## Missing\n\nThese files were not there; each command makes one.\n\n{rows}")
    paragraphs.append(f"Made by {_code(command)}.")
    return "\n\n".join(paragraphs) + "\n"


def to_latex(wide: Wide, table: Table, missing: list[Missing], command: str) -> str:
    """A tabular (a longtable where it is long) to be put in a document that loads booktabs and longtable."""
    kind = "longtable" if len(wide.lines) > LONGEST_TABULAR else "tabular"
    spec = wide.align.replace("p", r"p{0.6\linewidth}")
    notes = [table.title + ".", table.caption, _reading(table), *([f"All rows: {wide.common}."] if wide.common else [])]
    notes += [f"Missing: {item.what}; {item.command}" for item in missing]
    notes += [f"Made by {command}", f"Needs \\usepackage{{booktabs}}{' and longtable' if kind == 'longtable' else ''}."]
    head, *lines = (" & ".join(latex(cell) for cell in line) + r" \\" for line in [wide.header, *wide.lines])
    body = [
        rf"\begin{{{kind}}}{{{spec}}}",
        r"\toprule",
        head,
        r"\midrule",
        *([r"\endhead"] if kind == "longtable" else []),
    ]
    return (
        "\n".join([*(f"% {visible(note, ' ')}" for note in notes), *body, *lines, r"\bottomrule", rf"\end{{{kind}}}"])
        + "\n"
    )


def _reading(table: Table) -> str:
    if not table.unit:
        return "Counts have no interval."
    return (
        f"Value (low, high): 95% percentile bootstrap over {table.unit} ({RESAMPLES} resamples, seed {SEED}); no interval where "
        f"there is one or none. n: {table.unit} measured; null ones have nothing to measure and are not in the value."
    )


def _code(text: str) -> str:
    """A code span that its content cannot end."""
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"
