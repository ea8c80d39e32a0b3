"""A status as a table for people, in plain text as that of a plan."""

from collections.abc import Iterator, Sequence

from closerlook.cluster.status import Row, totals

COLUMNS = ("cell", "stage", "state", "elapsed", "step", "tokens/s", "job", "node", "attempts", "log")
LEFT = frozenset({"cell", "stage", "state", "job", "node", "attempts", "log"})


def lines(rows: Sequence[Row], whole: bool = True) -> Iterator[str]:
    """Totals, the table, and last what failed; without `whole`, what is done is counted but has no line."""
    for stage, states in totals(rows).items():
        yield f"{stage}: {', '.join(f'{count} {state}' for state, count in states.items())}"
    shown = [row for row in rows if whole or row.state != "done"]
    if shown:
        yield ""
        yield from _table([COLUMNS, *(_cells(row) for row in shown)])
    for row in shown:
        if row.state in ("running", "stale") and row.message:
            yield f"{row.state}: {_name(row)}: {row.message}"
    for row in shown:
        if row.state == "failed":
            yield from _failure(row)


def _table(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (
            text.ljust(width) if name in LEFT else text.rjust(width)
            for name, text, width in zip(COLUMNS, cells, widths, strict=True)
        )
        yield "  ".join(padded).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    rate = row.tokens_per_second
    return (
        row.cell,
        f"{row.stage} {row.of}".rstrip(),
        f"{row.state}: {row.reason}" if row.reason else row.state,
        clock(row.elapsed_seconds),
        "-" if row.step is None else f"{row.step:,} of {row.steps:,}",
        "-" if rate is None else f"{rate:,.0f}",
        row.job or "-",
        row.nodes or "-",
        f"{row.attempts} (after {', '.join(row.earlier)})" if row.earlier else str(row.attempts or "-"),
        row.log if row.attempts else "-",
    )


def _failure(row: Row) -> Iterator[str]:
    yield ""
    yield f"failed: {_name(row)}: {row.reason}{f': {row.message}' if row.message else ''}"
    yield f"    log: {row.log}"
    yield from (f"    | {line}" for line in row.log_tail)
    yield f"    resume with: {row.command}"


def _name(row: Row) -> str:
    return f"{row.cell}: {row.stage} {row.of}".rstrip()


def clock(seconds: float | None) -> str:
    """Hours and minutes: 12:05."""
    if seconds is None:
        return "-"
    minutes = int(seconds // 60)
    return f"{minutes // 60}:{minutes % 60:02}"
