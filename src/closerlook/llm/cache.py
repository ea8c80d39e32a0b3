"""An SQLite cache of model answers: a rerun costs nothing, and a killed run loses no paid answer.

In WAL mode, several processes of one machine can use the database, and commits survive a kill -9. WAL does not work between
machines: on a shared file system, only one machine at a time may use a cache. (diskcache also uses SQLite, but stores pickles.)
"""

import sqlite3
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from closerlook.core.errors import CloserlookError

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, judge TEXT NOT NULL, {columns}) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_judge ON answers (judge, input_tokens, output_tokens);
CREATE TABLE IF NOT EXISTS spent (purpose TEXT PRIMARY KEY, amount REAL NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Answer:
    """A model's answer to a request, or the error that prevented it."""

    text: str = ""
    model: str = ""
    """Name and version, as the server reports them."""
    refused: bool = False
    error: str = ""
    """Why there is no answer. Errors are not cached."""
    input_tokens: int = 0
    """Total over all calls for this request."""
    output_tokens: int = 0
    """Total over all calls for this request."""
    asked: int = 0
    """Number of calls; above 1 if the first answer was unusable."""


_COLUMNS = [field.name for field in fields(Answer) if field.name != "error"]


class Cache:
    """Answers by key, and the amount spent by purpose. A context manager, or call `close`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")  # a power cut can lose the last answers, a kill cannot
            self._database.executescript(_TABLES.format(columns=", ".join(_COLUMNS)))
        except sqlite3.DatabaseError as error:
            raise CloserlookError(
                f"{path}: cannot be used as a cache of answers ({error}); move it away, or name another file"
            ) from None

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def get(self, key: str) -> Answer | None:
        """Return the answer with a key, or None."""
        row = self._database.execute(f"SELECT {', '.join(_COLUMNS)} FROM answers WHERE key = ?", (key,)).fetchone()
        return Answer(**dict(zip(_COLUMNS, row, strict=True)) | {"refused": bool(row[2])}) if row else None

    def put(self, key: str, judge: str, answer: Answer, purpose: str = "", cost: float = 0.0) -> None:
        """Store an answer and its cost, in one transaction. Raises ValueError for an error, which is no answer."""
        if answer.error:
            raise ValueError("an error is no answer")
        row = asdict(answer)
        values = [row[name] for name in _COLUMNS]
        marks = ", ".join("?" * (2 + len(values)))
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute(f"INSERT OR REPLACE INTO answers VALUES ({marks})", (key, judge, *values))
        self._database.execute(
            "INSERT INTO spent VALUES (?, ?) ON CONFLICT (purpose) DO UPDATE SET amount = amount + excluded.amount",
            (purpose, cost),
        )
        self._database.execute("COMMIT")

    def spent(self, purpose: str) -> float:
        """Return the amount spent for a purpose, over all runs."""
        row = self._database.execute("SELECT amount FROM spent WHERE purpose = ?", (purpose,)).fetchone()
        return row[0] if row else 0.0

    def mean_output_tokens(self, judge: str) -> float | None:
        """Return the mean length of a judge's cached answers; None without any."""
        query = "SELECT avg(output_tokens * 1.0 / asked) FROM answers WHERE judge = ? AND asked > 0"
        return self._database.execute(query, (judge,)).fetchone()[0]
