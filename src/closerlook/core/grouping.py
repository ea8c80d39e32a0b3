"""Group rows, which are dicts with the same keys."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

R = TypeVar("R", bound=Mapping[str, Any])


def grouped(rows: Iterable[R], columns: Sequence[str]) -> dict[tuple[Any, ...], list[R]]:
    """Rows by their values of the columns, in the order in which these first occur."""
    groups: dict[tuple[Any, ...], list[R]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in columns), []).append(row)
    return groups
