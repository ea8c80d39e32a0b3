"""The text of `closerlook status`: totals, a table, and the failures."""

from collections.abc import Iterator, Sequence

from closerlook.cluster.status import Row, totals
from closerlook.core.terminal import format_clock, format_table, format_whole

COLUMNS = ("cell", "stage", "state", "elapsed", "step", "tokens/s", "job", "node", "attempts", "log")
RIGHT = ("elapsed", "step", "tokens/s")


def lines(rows: Sequence[Row], whole: bool = True) -> Iterator[str]:
    """Yield the totals, the table, and the failures. whole: whether the table has the stages that are done."""
    for stage, states in totals(rows).items():
        yield f"{stage}: {', '.join(f'{count} {state}' for state, count in states.items())}"
    shown = [row for row in rows if whole or row.state != "done"]
    if shown:
        yield ""
        yield from format_table(COLUMNS, map(_cells, shown), right=RIGHT)
    for row in shown:
        if row.state in ("running", "stale") and row.message:
            yield f"{row.state}: {_name(row)}: {row.message}"
    for row in shown:
        if row.state == "failed":
            yield from _failure(row)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.cell,
        f"{row.stage} {row.of}".rstrip(),
        f"{row.state}: {row.reason}" if row.reason else row.state,
        format_clock(row.elapsed_seconds),
        "-" if row.step is None else f"{row.step:,} of {row.steps:,}",
        format_whole(row.tokens_per_second),
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
