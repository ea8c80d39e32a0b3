"""Wide tables as Markdown and as LaTeX."""

from closerlook.report.tables.build import Missing
from closerlook.report.tables.table import Table
from closerlook.report.tables.wide import Wide
from closerlook.stats.bootstrap import RESAMPLES, SEED
from closerlook.text.escape import latex, markdown, visible

NO_CELL = "The grid has no cell that this table is about."
LONGEST_TABULAR = 40  # lines; more become a longtable
LONGEST_CELL = 45  # characters; more are broken into lines


def to_markdown(wides: list[Wide], table: Table, missing: list[Missing], command: str) -> str:
    """A page: title, caption, notes, the table, missing files with the commands that make them, and the table's own command."""
    paragraphs = [f"# {table.title}", table.caption, _reading(table)]
    if any(wide.lines for wide in wides):
        paragraphs += [text for wide in wides for text in _paragraphs(wide)]
    else:
        paragraphs.append(NO_CELL)
    if missing:
        rows = "\n".join(f"- {markdown(item.needed_by)}: {_code(item.command)}" for item in missing)
        paragraphs.append(f"## Missing\n\nThese files are missing; each command makes one.\n\n{rows}")
    paragraphs.append(f"Method: {_code(table.method)}. Made by {_code(command)}.")
    return "\n\n".join(paragraphs) + "\n"


def _paragraphs(wide: Wide) -> list[str]:
    """The heading of a section, the columns that all its rows share, and the table."""
    alignment = ["--:" if align == "r" else ":--" for align in wide.align]
    lines = [[markdown(cell) for cell in line] for line in [wide.header, *wide.lines]]
    drawn = [f"| {' | '.join(line)} |" for line in [lines[0], alignment, *lines[1:]]]
    paragraphs = [f"## {wide.section}"] if wide.section else []
    paragraphs += [f"All rows: {markdown(wide.common)}."] if wide.common else []
    return [*paragraphs, "\n".join(drawn) if wide.lines else "None."]


def to_latex(wides: list[Wide], table: Table, missing: list[Missing], command: str) -> str:
    """Tabulars (longtables if they are long) for a document that loads booktabs and longtable.

    There is no float, so that the document decides on position and width. The escaped caption is a comment to copy.
    """
    kinds = ["longtable" if _height(wide) > LONGEST_TABULAR else "tabular" for wide in wides]
    notes = [rf"\caption{{{latex(f'{table.title}. {table.caption}')}}}", _reading(table)]
    notes += dict.fromkeys(f"All rows: {wide.common}." for wide in wides if wide.common)
    notes += [f"Missing: {item.needed_by}; {item.command}" for item in missing]
    notes += [
        f"Method: {table.method}. Made by {command}",
        f"Needs \\usepackage{{booktabs}}{' and longtable' if 'longtable' in kinds else ''}.",
    ]
    drawn = [line for wide, kind in zip(wides, kinds, strict=True) for line in _tabular(wide, kind)]
    return "\n".join([*(f"% {visible(note, ' ')}" for note in notes), *drawn]) + "\n"


def _height(wide: Wide) -> int:
    """Approximate number of lines on paper."""
    return sum(1 + max(map(len, line)) // LONGEST_CELL for line in wide.lines)


def _tabular(wide: Wide, kind: str) -> list[str]:
    """The heading of a section and the lines of its table."""
    columns = zip(wide.align, zip(wide.header, *wide.lines, strict=True), strict=True)
    spec = "".join(_column(align, cells) for align, cells in columns)
    heading = [rf"\par\medskip\noindent {latex(wide.section)}\par\nopagebreak"] if wide.section else []
    if wide.section and not wide.lines:
        return [*heading, r"\noindent None.\par"]
    head, *lines = (" & ".join(latex(cell) for cell in line) + r" \\" for line in [wide.header, *wide.lines])
    top = [rf"\begin{{{kind}}}{{{spec}}}", r"\toprule", head, r"\midrule"]
    return [*heading, *top, *([r"\endhead"] if kind == "longtable" else []), *lines, r"\bottomrule", rf"\end{{{kind}}}"]


def _column(align: str, cells: tuple[str, ...]) -> str:
    """The LaTeX column type. Only columns of long text are broken into lines."""
    if align == "p":
        return r"p{0.6\linewidth}"
    return r"p{0.45\linewidth}" if max(map(len, cells)) > LONGEST_CELL else align


def _reading(table: Table) -> str:
    """How to read intervals and n."""
    if not table.unit:
        return "Counts have no intervals."
    return (
        f"In parentheses: 95% intervals over {table.unit}: exact for shares, by bootstrap ({RESAMPLES:,} resamples, seed {SEED}) "
        "for most other values of one training, else by the formulas of the method, as over trainings. A value over fewer than "
        f"two, or a mean of equal values, has none. They cover other {table.unit}, and other seeds only where the seed is a mean "
        f"of several. n: number of {table.unit} measured; null: those with nothing to measure, left out."
    )


def _code(text: str) -> str:
    """A code span, with a fence that is longer than any in the text."""
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"
