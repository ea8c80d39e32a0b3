"""Score responses with a judge, and write one verdict per response and aspect."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import VERDICTS
from closerlook.judge.aspects import Case, Judge, Judged


def judge(decide: Judge, responses: Path, evalset: Path, out: Path) -> None:
    """Let a judge score every response, and write VERDICTS in the evalset's order.

    evalset: id, instruction and optionally reference. responses: id and text. A progress bar shows responses, nulls by cause, and
    cost. Raises CloserlookError if the two files do not match, if every answer failed, and as the judge does; then `out` is not
    written, and answers so far are in the judge's cache.
    """
    cases = read_cases(responses, evalset)
    nulls: Counter[str] = Counter()
    cost = 0.0
    with tqdm(total=len(cases), desc=out.stem, unit=" responses") as bar:

        def finished(result: Judged) -> None:
            nonlocal cost
            nulls.update(verdict.null_cause for verdict in result.verdicts if verdict.null_cause)
            cost += result.cost
            parts = [f"{cause} {count}" for cause, count in nulls.items()] + ([f"cost {cost:.2f}"] if cost else [])
            bar.set_postfix_str(", ".join(parts), refresh=False)
            bar.update()

        judged = decide(cases, finished)
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
    if rows and all(row["null_cause"] == "error" for row in rows):
        raise CloserlookError(f"{out.name}: every request failed, the first because of: {rows[0]['reason']}")
    write_parquet(rows, VERDICTS, out)
    print(summary(judged, cost), file=sys.stderr)


def read_cases(responses: Path, evalset: Path) -> list[Case]:
    """Return the responses with their instructions, in the evalset's order. Instructions without a response are left out."""
    questions = _read_unique(evalset, "instruction")
    answers = _read_unique(responses, "text")
    if unknown := [id for id in answers if id not in questions]:
        raise CloserlookError(
            f"{responses}: response {unknown[0]!r} answers no instruction of {evalset}; expected the evalset that was answered"
        )
    return [
        Case(id, row["instruction"], answers[id]["text"] or "", row.get("reference"))
        for id, row in questions.items()
        if id in answers
    ]


def _read_unique(path: Path, column: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a parquet file by id, with a column and, if there is one, `reference`."""
    table = read_parquet(path)
    if missing := {"id", column} - set(table.column_names):
        found, expected = ", ".join(table.column_names), ", ".join(sorted(missing))
        raise CloserlookError(f"{path}: found the columns {found}, expected {expected} too")
    rows = table.select(sorted({"id", column, "reference"} & set(table.column_names))).to_pylist()
    by_id = {row["id"]: row for row in rows}
    if len(by_id) < len(rows):
        twice = next(id for id, count in Counter(row["id"] for row in rows).items() if count > 1)
        raise CloserlookError(f"{path}: id {twice!r} occurs in more than one row; expected unique ids")
    return by_id


def summary(judged: Sequence[Judged], cost: float) -> str:
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
        lines.append(f"warning: several versions of the judge, whose scores are not comparable: {named}")
    if scores["error"]:
        lines.append("warning: failed requests are null (error); delete the file and run again to repeat only these")
    return "\n".join(lines)
