"""Plain text for the terminal: tables with aligned columns, and numbers with units."""

from collections.abc import Collection, Iterable, Iterator, Sequence

UNITS = {"Z": 1e21, "E": 1e18, "P": 1e15, "T": 1e12, "B": 1e9, "M": 1e6, "k": 1e3}
UNKNOWN = "-"


def format_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> Iterator[str]:
    """Yield the lines of a table, a header first. Columns whose name is in `right` are right-aligned.

    rich takes 15 s for 10,000 rows; tabulate makes every column two characters wider than its header.
    """
    table = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, cell, width in zip(columns, cells, widths, strict=True)
        )
        yield "  ".join(padded).rstrip()


def format_count(count: float | None) -> str:
    """Return three digits and a unit: 6.74B. T is 10^12, P 10^15, E 10^18, Z 10^21."""
    if count is None:
        return UNKNOWN
    for unit, size in UNITS.items():
        if count >= 0.9995 * size:
            return f"{count / size:#.3g}".rstrip(".") + unit
    return f"{count:.0f}"


def format_whole(number: float | None) -> str:
    """Return a number without decimals, with commas between thousands."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def format_gigabytes(size: float | None) -> str:
    """Return a size in bytes as GB of 10^9 bytes, without the unit."""
    if size is None:
        return UNKNOWN
    return f"{size / 1e9:,.{0 if size >= 1e10 else 1 if size >= 1e8 else 2}f}"


def format_hours(hours: float | None) -> str:
    """Return hours as seconds, minutes or hours: 12.5 min."""
    if hours is None:
        return UNKNOWN
    if hours < 1 / 60:
        return f"{hours * 3600:.{0 if hours >= 1 / 360 else 1}f} s"
    if hours < 1:
        return f"{hours * 60:.{0 if hours >= 1 / 6 else 1}f} min"
    return f"{hours:,.{0 if hours >= 100 else 1}f} h"


def format_clock(seconds: float | None) -> str:
    """Return seconds as hours and minutes: 12:05."""
    if seconds is None:
        return UNKNOWN
    hours, minutes = divmod(int(seconds // 60), 60)
    return f"{hours}:{minutes:02}"
