"""`benchmarks/<task>.parquet`: a model's score on each item of a task."""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from closerlook.benchmarks.answers import Answerer
from closerlook.benchmarks.items import read_items
from closerlook.benchmarks.requests import Answer, Completion, Item
from closerlook.config.benchmarks import HarnessTask, Task
from closerlook.core.files import sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Row, compute_in_parts
from closerlook.core.schemas import BENCHMARK
from closerlook.core.versions import installed_version

PART = 256
"""Items per part, the work that an interruption can lose."""


def task_items(task: Task, data: Path | None = None) -> list[Item]:
    """The items of a task. data: the folder of a task of lm-evaluation-harness that was fetched; none: from its cache or the hub.

    Raises CloserlookError for a task that cannot be read.
    """
    if isinstance(task, HarnessTask):
        from closerlook.benchmarks.harness import read_harness  # slow

        return read_harness(task, data)
    return read_items(task)


def score(answerer: Answerer, tuned: Path | None, task: Task, items: list[Item], out: Path) -> None:
    """Write BENCHMARK: a row per item, in their order. Resumes where it stopped; ranks share the items.

    tuned: the model of the answerer that is scored; none: the base model. Raises CloserlookError as Answerer.ask does.
    """

    def score_parts(parts: list[list[int]], progress: Progress) -> Iterator[tuple[int, Row]]:
        for part in parts:
            answers = iter(answerer.ask([request for i in part for request in items[i].requests], tuned))
            for index in part:
                item = items[index]
                given = list(islice(answers, len(item.requests)))
                progress.advance(sum(answer.tokens for answer in given))
                yield index, _measured(item, given) | item.grade(given)

    asked = hashlib.sha256()
    for item in items:
        asked.update(repr((item.id, item.subject, item.requests)).encode())
    facts = {
        "task": task.model_dump(exclude={"file"}),
        "items": asked.hexdigest(),
        "grades": installed_version("lm-eval") if isinstance(task, HarnessTask) else sha256(Path(task.file)),
        "part": PART,
        "base": sha256(answerer.base),
        "tuned": tuned and sha256(tuned),
    }
    parts = [list(range(first, min(first + PART, len(items)))) for first in range(0, len(items), PART)]
    compute_in_parts(parts, score_parts, BENCHMARK, out, fingerprint(**facts, **answerer.facts(tuned)), "items")


def _measured(item: Item, answers: list[Answer]) -> Row:
    """The columns of an item that do not depend on its grade."""
    responds = isinstance(item.requests[0], Completion)
    return {
        "id": item.id,
        "subject": item.subject,
        "log_probs": [] if responds else [answer.log_prob for answer in answers],
        "tokens": [answer.tokens for answer in answers],
        "bytes": [len(request.text.encode()) for request in item.requests if not isinstance(request, Completion)],
        "cut": any(answer.cut for answer in answers),
    }
