"""Counts of the rows kept and dropped, by reason."""

from collections import Counter
from typing import Any

EXAMPLES = 5  # first rows named per reason


class Tally:
    """Counts of rows kept, dropped and noted. rows_read is always rows_kept plus the sum of dropped."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        """reasons: all reasons for which rows can be dropped, so that the report includes those with a count of 0."""
        self.kept = 0
        self.dropped = Counter(dict.fromkeys(reasons, 0))
        self.noted: Counter[str] = Counter()
        self.examples: dict[str, list[int]] = {}
        self.first_malformed: str | None = None

    def keep(self, row: int, notes: tuple[str, ...] = ()) -> None:
        """Count a row that is kept, with notes on it."""
        self.kept += 1
        for note in notes:
            self.noted[note] += 1
            self._add_example(note, row)

    def drop(self, reason: str, row: int, problem: str | None = None) -> None:
        """Count a row that is dropped. problem: what is wrong with a malformed row."""
        self.dropped[reason] += 1
        self._add_example(reason, row)
        if problem and self.first_malformed is None:
            self.first_malformed = f"row {row}: {problem}"

    def _add_example(self, reason: str, row: int) -> None:
        rows = self.examples.setdefault(reason, [])
        if len(rows) < EXAMPLES:
            rows.append(row)

    @property
    def read(self) -> int:
        """Number of rows read."""
        return self.kept + self.dropped.total()

    def report(self) -> dict[str, Any]:
        """The counts, for a report file."""
        return {
            "rows_read": self.read,
            "rows_kept": self.kept,
            "dropped": dict(self.dropped),
            "noted": dict(self.noted),
            "examples": self.examples,
        }

    def __str__(self) -> str:
        parts = [f"{count:,} {reason}" for reason, count in self.dropped.items() if count]
        text = f"{self.read:,} rows read, {self.kept:,} kept" + (f"; dropped: {', '.join(parts)}" if parts else "")
        text += f"; noted: {', '.join(f'{count:,} {note}' for note, count in self.noted.items())}" if self.noted else ""
        return text + (f"; first malformed: {self.first_malformed}" if self.first_malformed else "")
