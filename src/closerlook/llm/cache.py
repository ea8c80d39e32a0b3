"""An SQLite cache of model answers: a rerun costs nothing, and a killed run loses no answer that was paid for.

SQLite in WAL mode: several processes of one machine can read and write it at a time, and what was committed survives a kill -9.
(diskcache would do the same on top of SQLite, but stores pickles.) SQLite's WAL does not work between machines: on a shared file
system, let one machine at a time use a cache.
"""

import sqlite3
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType

from closerlook.core.errors import CloserlookError

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, judge TEXT NOT NULL, {columns}) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_judge ON answers (judge, input_tokens, output_tokens);
CREATE TABLE IF NOT EXISTS spent (purpose TEXT PRIMARY KEY, amount REAL NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Answer:
    """What a model answered, or why it did not."""

    text: str = ""
    model: str = ""
    """Name and version that the server answered with."""
    refused: bool = False
    error: str = ""
    """Why there is no answer; such a one is never kept."""
    input_tokens: int = 0
    """Of all times that it was asked."""
    output_tokens: int = 0
    asked: int = 0
    """Times that the model answered this request; above 1 where the first answer could not be used."""


_COLUMNS = [field.name for field in fields(Answer) if field.name != "error"]


class Cache:
    """Answers by their key, and what was spent for which purpose. Use it in a `with`, or close it."""

    def __init__(self, path: Path) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last answers, a kill none
            self._database.executescript(_TABLES.format(columns=", ".join(_COLUMNS)))
        except sqlite3.DatabaseError as error:
            raise CloserlookError(
                f"{path}: cannot be used as a cache of answers ({error}); move it away, or name another place"
            ) from None

    def __enter__(self) -> "Cache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def get(self, key: str) -> Answer | None:
        """The answer under a key."""
        row = self._database.execute(f"SELECT {', '.join(_COLUMNS)} FROM answers WHERE key = ?", (key,)).fetchone()
        return Answer(**dict(zip(_COLUMNS, row, strict=True)) | {"refused": bool(row[2])}) if row else None

    def put(self, key: str, judge: str, answer: Answer, purpose: str = "", cost: float = 0.0) -> None:
        """Keep an answer and what it cost; both or neither. Raises ValueError for an error, which is no answer."""
        if answer.error:
            raise ValueError("an error is no answer")
        values = [value for field, value in zip(fields(Answer), astuple(answer), strict=True) if field.name != "error"]
        marks = ", ".join("?" * (2 + len(values)))
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute(f"INSERT OR REPLACE INTO answers VALUES ({marks})", (key, judge, *values))
        self._database.execute(
            "INSERT INTO spent VALUES (?, ?) ON CONFLICT (purpose) DO UPDATE SET amount = amount + excluded.amount",
            (purpose, cost),
        )
        self._database.execute("COMMIT")

    def spent(self, purpose: str) -> float:
        """What was spent for a purpose, ever."""
        row = self._database.execute("SELECT amount FROM spent WHERE purpose = ?", (purpose,)).fetchone()
        return row[0] if row else 0.0

    def mean_output_tokens(self, judge: str) -> float | None:
        """Of a judge's answers; None where there are none."""
        query = "SELECT avg(output_tokens * 1.0 / asked) FROM answers WHERE judge = ? AND asked > 0"
        return self._database.execute(query, (judge,)).fetchone()[0]
