"""The count of what became of every row: nothing that is read vanishes unseen."""

from collections import Counter
from typing import Any

EXAMPLES = 5  # first rows named per reason


class Tally:
    """Counts rows kept, dropped and noted, by reason. Always: rows_read == rows_kept + sum of dropped."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        """`reasons`: every reason a row can be dropped for, so that the report shows a zero where nothing was."""
        self.kept = 0
        self.dropped = Counter(dict.fromkeys(reasons, 0))
        self.noted: Counter[str] = Counter()
        self.examples: dict[str, list[int]] = {}
        self.first_malformed: str | None = None

    def keep(self, row: int, notes: tuple[str, ...] = ()) -> None:
        """Count a row that is kept, and what is worth knowing about it."""
        self.kept += 1
        for note in notes:
            self.noted[note] += 1
            self._example(note, row)

    def drop(self, reason: str, row: int, why: str | None = None) -> None:
        """Count a row that is dropped; `why` explains a malformed one."""
        self.dropped[reason] += 1
        self._example(reason, row)
        if why and self.first_malformed is None:
            self.first_malformed = f"row {row}: {why}"

    def _example(self, reason: str, row: int) -> None:
        rows = self.examples.setdefault(reason, [])
        if len(rows) < EXAMPLES:
            rows.append(row)

    @property
    def read(self) -> int:
        """All rows seen."""
        return self.kept + self.dropped.total()

    def report(self) -> dict[str, Any]:
        """The counts as they stand in a report file."""
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
