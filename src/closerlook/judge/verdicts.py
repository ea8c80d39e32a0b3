"""Score responses with a judge and write one verdict per response and aspect."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import VERDICTS
from closerlook.judge.aspects import Case, Judge, Judged


def judge(decide: Judge, responses: Path, evalset: Path, out: Path) -> None:
    """Let a judge score every response, and write VERDICTS in the evalset's order.

    evalset: id and instruction, maybe reference; responses: id and text. Raises CloserlookError where the two do not belong
    together, where every single answer failed, and whatever the judge raises; then there is no `out`, and what was answered is
    in the judge's cache.
    """
    cases = read_cases(responses, evalset)
    with Progress(len(cases), out.stem) as progress:
        judged = decide(cases, progress.finished)
    rows: list[dict[str, Any]] = [
        {
            "id": case.id,
            "aspect": verdict.aspect,
            "score": verdict.score,
            "null_cause": verdict.null_cause,
            "reason": verdict.reason,
            "judge": result.judge,
        }
        for case, result in zip(cases, judged, strict=True)
        for verdict in result.verdicts
    ]
    _refuse_if_all_failed(rows, out)
    write_parquet(rows, VERDICTS, out)
    print(summary(judged, progress.cost), file=sys.stderr)


def read_cases(responses: Path, evalset: Path) -> list[Case]:
    """The responses with their instructions, in the evalset's order. Instructions without a response are left out."""
    questions = {row["id"]: row for row in _unique(evalset).values()}
    answers = _unique(responses)
    if strangers := [id for id in answers if id not in questions]:
        raise CloserlookError(
            f"{responses}: response {strangers[0]!r} answers no instruction of {evalset}; expected the evalset that was answered"
        )
    return [
        Case(id, row["instruction"], answers[id]["text"] or "", row.get("reference"))
        for id, row in questions.items()
        if id in answers
    ]


def _unique(path: Path) -> dict[str, dict[str, Any]]:
    needed = {"id", "instruction"} if "instruction" in (names := read_parquet(path).schema.names) else {"id", "text"}
    if missing := needed - set(names):
        raise CloserlookError(
            f"{path}: found the columns {', '.join(names)}, expected {', '.join(sorted(missing))} too"
        )
    rows = read_parquet(path, columns=[name for name in ("id", "instruction", "reference", "text") if name in names])
    table = {row["id"]: row for row in rows.to_pylist()}
    if len(table) < rows.num_rows:
        twice = next(id for id, count in Counter(rows["id"].to_pylist()).items() if count > 1)
        raise CloserlookError(f"{path}: id {twice!r} occurs in more than one row; expected unique ids")
    return table


class Progress:
    """A bar on stderr: responses, nulls by their cause, and what was paid so far."""

    def __init__(self, total: int, title: str) -> None:
        self._bar = tqdm(total=total, desc=title, unit=" responses")
        self._nulls: Counter[str] = Counter()
        self.cost = 0.0

    def finished(self, judged: Judged) -> None:
        """Count one response."""
        self._nulls.update(verdict.null_cause for verdict in judged.verdicts if verdict.null_cause)
        self.cost += judged.cost
        parts = [f"{cause} {count}" for cause, count in self._nulls.items()]
        parts += [f"cost {self.cost:.2f}"] if self.cost else []
        self._bar.set_postfix_str(", ".join(parts), refresh=False)
        self._bar.update()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()


def summary(judged: list[Judged], cost: float) -> str:
    """Return a summary for the terminal: responses, scores, nulls by cause, cost, and warnings."""
    scores = Counter(verdict.null_cause or "scores" for result in judged for verdict in result.verdicts)
    parts = [f"{len(judged):,} responses", f"{scores.pop('scores', 0):,} scores"]
    parts += [f"{count:,} null ({cause})" for cause, count in sorted(scores.items())]
    parts += [f"cost of new calls {cost:,.4f}"] if cost else []
    lines = [", ".join(parts)]
    versions = Counter(
        result.judge for result in judged if result.verdicts and result.verdicts[0].null_cause != "error"
    )
    if len(versions) > 1:
        named = ", ".join(f"{version} ({count})" for version, count in versions.most_common())
        lines.append(f"warning: scores of several versions of the judge, which do not compare: {named}")
    if scores["error"]:
        lines.append(
            "warning: answers that failed are null (error); delete the file and run again to ask for these alone"
        )
    return "\n".join(lines)


def _refuse_if_all_failed(rows: list[dict[str, Any]], out: Path) -> None:
    if rows and all(row["null_cause"] == "error" for row in rows):
        raise CloserlookError(f"{out.name}: not one answer was had, the first because of: {rows[0]['reason']}")
