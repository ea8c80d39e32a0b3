"""A judge that is asked: a prompt for each case, the answer parsed. Behind an endpoint, or a model run here."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from closerlook.config.judges import AskSettings
from closerlook.judge.aspects import Case, Judge, Judged, nulls
from closerlook.judge.parsing import parse
from closerlook.judge.prompts import answer_schema, fill, schema_name
from closerlook.llm.cache import Answer
from closerlook.llm.prompt_file import Prompt
from closerlook.llm.requests import CompletionModel, Request

TOKENS_PER_ASPECT = 80
"""Of a judge's answer, until some are known (gpt-4-1106-preview: 70)."""


def requests_of(cases: Sequence[Case], prompt: Prompt, settings: AskSettings) -> list[Request]:
    """What is asked about each case."""
    schema, name = answer_schema(settings.aspects), schema_name(settings.aspects)
    return [Request(fill(prompt, case), schema, name) for case in cases]


def by_asking(source: CompletionModel, name: str, prompt: Prompt, settings: AskSettings) -> Judge:
    """The judge that `source`, a model called `name`, makes with a prompt."""

    read = lru_cache(maxsize=1024)(partial(parse, aspects=tuple(settings.aspects)))

    def judged(answer: Answer, cost: float) -> Judged:
        version = f"{name}@{answer.model or '?'}/prompt {prompt.digest}"
        if answer.error:
            verdicts = nulls(settings.aspects, "error", answer.error)
        elif answer.refused:
            verdicts = nulls(settings.aspects, "refused", answer.text[:300] or None)
        else:
            verdicts = read(answer.text)
        return Judged(verdicts, version, cost)

    def usable(text: str) -> bool:
        return not any(verdict.null_cause == "unparsable" for verdict in read(text))

    def judge(cases: Sequence[Case], finished: Callable[[Judged], None]) -> list[Judged]:
        all_judged: dict[int, Judged] = {}

        def done(index: int, answer: Answer, cost: float) -> None:
            all_judged[index] = judged(answer, cost)
            finished(all_judged[index])

        expected = TOKENS_PER_ASPECT * len(settings.aspects)
        source.complete(requests_of(cases, prompt, settings), done, usable, expected)
        return [all_judged[index] for index in range(len(cases))]

    return judge
