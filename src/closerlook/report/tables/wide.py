"""The wide form of a tidy table: a line per cell, a column per metric. Plain text, not escaped."""

from dataclasses import dataclass, replace

from closerlook.core.grouping import grouped
from closerlook.report.tables.metrics import Metric
from closerlook.report.tables.pooling import summarized
from closerlook.report.tables.table import IDENTITY, Row, Table
from closerlook.text.escape import number, visible

KEPT = ("dataset", "size", "method")
"""Identity columns that are shown even if all rows agree. Others are then stated once, above the table."""
NO_DATA = "no data"
TOKENS_SHOWN = 25
TOKENS_IN_TERMINAL = 10


@dataclass(frozen=True)
class Wide:
    """Headings and lines of plain text.

    align: l, r or p (running text) per column. common: column values that all rows share. section: the heading above the
    table; empty for a table without sections.
    """

    header: list[str]
    align: str
    lines: list[list[str]]
    common: str
    section: str = ""


def sections(rows: list[Row], table: Table) -> list[Wide]:
    """The wide tables of a page: one per section, or a single one. Of several trainings, their mean is drawn."""
    rows = summarized(rows)
    if not table.sections:
        return [widen(rows, table)]
    return [_section(rows, table, heading, metrics) for heading, metrics in table.sections.items()]


def _section(rows: list[Row], table: Table, heading: str, metrics: tuple[str, ...]) -> Wide:
    """One section. A single metric is named by the heading only; columns of counts that are all zero are left out."""
    rows = [row for row in rows if row["metric"] in metrics]
    if all(table.metrics[name].kind == "count" for name in metrics):
        filled = {_column(row, table) for row in rows if row["value"] != 0}
        rows = [row for row in rows if _column(row, table) in filled]
    wide = widen(rows, table)
    if len(metrics) == 1:
        label = table.metrics[metrics[0]].label
        wide = replace(wide, header=[heading.removeprefix(f"{label}, ") for heading in wide.header])
    return replace(wide, section=heading)


def widen(rows: list[Row], table: Table, *, brief: bool = False) -> Wide:
    """A line per cell, in the order of the rows. brief: headline metrics without intervals, for a terminal."""
    if brief:
        rows = [row for row in rows if table.metrics[row["metric"]].headline]
    if "token" in table.keys:
        return _by_token(rows, *_distinguishing(rows, IDENTITY), brief)
    labels, common = _distinguishing(rows, (*IDENTITY, *(key for key in table.keys if key not in table.spread)))
    columns = _columns(rows, table)
    lines = []
    for line, values in grouped(rows, labels).items():
        by_column = {_column(row, table): row for row in values}
        cells = [_cell(by_column.get(column), table.metrics[column[0]], brief) for column in columns]
        if not any(map(_has_files, values)):  # a missing cell may not know the columns of its values
            cells = [NO_DATA] * len(columns)
        lines.append([*(visible(name, " ") for name in line), *cells, *([_n(values, brief)] if table.unit else [])])
    headings = [", ".join([table.metrics[name].label, *filter(None, map(_plain, spread))]) for name, *spread in columns]
    headings += ["n"] if table.unit else []
    return Wide([*labels, *headings], "l" * len(labels) + "r" * len(headings), lines, common)


def _distinguishing(rows: list[Row], columns: tuple[str, ...]) -> tuple[list[str], str]:
    """The columns in which rows differ, and a text of those in which they do not. For measured rows, empty is a value too."""
    mixed = {name for name in columns for row in rows if row["value"] is not None and not row[name]}
    values = {name: list(dict.fromkeys(row[name] for row in rows if row[name])) for name in columns}
    shown = [name for name in columns if values[name] and (len(values[name]) > 1 or name in KEPT or name in mixed)]
    common = [f"{name} {visible(values[name][0], ' ')}" for name in columns if values[name] and name not in shown]
    return shown, ", ".join(common)


def _plain(name: str) -> str:
    return visible(name, " ").replace("_", " ")


def _column(row: Row, table: Table) -> tuple[str, ...]:
    return (row["metric"], *(row[key] for key in table.spread))


def _columns(rows: list[Row], table: Table) -> list[tuple[str, ...]]:
    """The metrics in the table's order, each with the values of the spread keys in the rows' order.

    A missing cell may not know all values of the spread keys, so it adds a column only if no other row has that metric.
    """
    columns = dict.fromkeys(_column(row, table) for row in rows if row["value"] is not None)
    columns |= dict.fromkeys(_column(row, table) for row in rows if row["metric"] not in {name for name, *_ in columns})
    return [column for name in table.metrics for column in columns if column[0] == name]


def _cell(row: Row | None, metric: Metric, brief: bool) -> str:
    if row is None:
        return ""
    value = number(row["value"], metric.kind)
    if not _has_files(row):
        return NO_DATA
    if brief or row["ci_low"] is None:
        return value
    return f"{value} ({number(row['ci_low'], metric.kind, '')}, {number(row['ci_high'], metric.kind, '')})"


def _has_files(row: Row) -> bool:
    """Whether the files that a row is measured from exist; they may still give no value."""
    return row["value"] is not None or row["n"] > 0 or row["n_null"] > 0


def _n(rows: list[Row], brief: bool) -> str:
    """n of a line (a range if its metrics differ in n) and the largest number of nulls."""
    low, high = min(row["n"] for row in rows), max(row["n"] for row in rows)
    null = max(row["n_null"] for row in rows)
    return (f"{high:,}" if low == high else f"{low:,}–{high:,}") + (f" (+{null:,} null)" if null and not brief else "")


def _by_token(rows: list[Row], shown: list[str], common: str, brief: bool) -> Wide:
    """A line per cell and class: its first tokens in order, each with its share in %."""
    labels = [*shown, "class"]
    most = TOKENS_IN_TERMINAL if brief else TOKENS_SHOWN
    lines = []
    for line, values in grouped(rows, labels).items():
        shares = [row for row in values if row["metric"] == "share"]
        tokens = [f"{visible(row['token'])} {number(row['value'], 'share', '')}" for row in shares if row["rank"]]
        text = " · ".join(tokens[:most]) if tokens else _cell(shares[0], Metric("share", "share"), True)
        lines.append([*(visible(name, " ") for name in line), text, _n(values, brief)])
    return Wide([*labels, "token and its share, %", "n"], "l" * len(labels) + "pr", lines, common)
