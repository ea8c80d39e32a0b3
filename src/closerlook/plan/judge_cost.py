"""The cost of API calls that are still to do. A judge's calls about responses that exist are counted exactly."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from closerlook.config.catalog import ApiModel
from closerlook.config.grid import Cell
from closerlook.config.judges import Judge, OpenAIJudge
from closerlook.config.load import Configuration
from closerlook.config.markers import JudgeMarker
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text
from closerlook.judge.prompt_judge import TOKENS_PER_ASPECT, build_requests, read_prompt
from closerlook.judge.verdicts import read_cases
from closerlook.llm.budget import estimate_tokens, price
from closerlook.llm.cache import Cache
from closerlook.llm.client import ANSWER_TOKENS, cache_key, model_and_server
from closerlook.llm.prompt_file import Prompt
from closerlook.plan.generation import count_instructions

Files = list[tuple[str, Path]]
"""An evalset, and the file that the answers to its instructions or the judgments of its responses are written to."""
Count = Callable[[str], int | None]
"""Number of instructions of an evalset."""

INSTRUCTION_TOKENS = 64
"""Assumed length of an instruction."""
CASE_TOKENS = INSTRUCTION_TOKENS + 256
"""Assumed length of an instruction with its response."""
SPAN_TOKENS = 160
"""Assumed length of the spans that a judge quotes from one response."""


@dataclass(frozen=True)
class JudgeCost:
    """The calls that a judge, a marker or an API model still needs. Tokens and cost are estimates."""

    judge: str
    calls: int
    cached: int
    """Requests that are in the cache, or whose results exist."""
    input_tokens: int
    output_tokens: int
    cost: float | None
    """None without prices in the catalog."""
    guessed: int
    """Calls with assumed lengths: those about responses that do not exist yet, and all of markers and API models."""
    unknown: tuple[str, ...]
    """Evalsets of unknown size, which are left out."""
    task: str = "judging"
    """judging, or answering for an API model."""


def judge_costs(configuration: Configuration, results: Path) -> list[JudgeCost]:
    """Return the cost of each judge, marker and model of the preset that is behind an API; the others cost nothing."""
    catalog, preset, lineage = configuration.catalog, configuration.preset, configuration.traced
    count = cache(lambda evalset: count_instructions(configuration, results, evalset))
    answered = [(cell, evalset) for cell, evalsets in configuration.cells.items() for evalset in evalsets]
    judged = [(cell, evalset) for cell, evalset in answered if not lineage.is_paraphrase(evalset)]
    costs = []
    for name in preset.judges:
        judge = catalog.judges[name]
        if isinstance(judge, OpenAIJudge):
            prompt = read_prompt(configuration.root / judge.prompt_file)
            costs.append(_judge_cost(name, judge, prompt, judged, results, count))
    for name in preset.all_markers:
        marker = catalog.markers[name]
        if isinstance(marker, JudgeMarker):
            marked = [(cell, evalset) for cell, evalset in judged if name in lineage.markers(cell, evalset)]
            spans = [(evalset, results / layout.spans(cell.name, evalset, name)) for cell, evalset in marked]
            prompt_tokens = estimate_tokens(read_text(configuration.root / marker.prompt_file, "prompt"))
            tokens = prompt_tokens + CASE_TOKENS, SPAN_TOKENS
            costs.append(_guess_cost(f"marker {name}", catalog.judges[marker.judge], spans, count, tokens))
    for name in dict.fromkeys(cell.model for cell in configuration.cells):
        source = catalog.models[name].source
        if isinstance(source, ApiModel):
            own = [(cell, evalset) for cell, evalset in answered if cell.model == name]
            responses = [(evalset, results / layout.responses(cell.name, evalset)) for cell, evalset in own]
            tokens = INSTRUCTION_TOKENS, ANSWER_TOKENS
            cost = _guess_cost(name, catalog.judges[source.endpoint], responses, count, tokens)
            costs.append(replace(cost, task="answering"))
    return costs


def _guess_cost(name: str, judge: Judge, files: Files, count: Count, tokens: tuple[int, float]) -> JudgeCost:
    """The cost of making the files that do not exist; `tokens` are assumed lengths of a prompt and an answer."""
    assert isinstance(judge, OpenAIJudge)  # the configuration is checked
    done = calls = 0
    unknown: dict[str, None] = {}
    for evalset, file in files:
        instructions = count(evalset)
        if file.is_file():
            done += instructions or 0
        elif instructions is None:
            unknown[evalset] = None
        else:
            calls += instructions
    inputs, outputs = calls * tokens[0], round(calls * tokens[1])
    return JudgeCost(name, calls, done, inputs, outputs, price(judge, inputs, outputs), calls, tuple(unknown))


def _judge_cost(
    name: str, judge: OpenAIJudge, prompt: Prompt, judged: Iterable[tuple[Cell, str]], results: Path, count: Count
) -> JudgeCost:
    """The cost of a judge: exact for responses that exist, guessed for the others."""
    guessed: Files = []
    prompt_tokens: dict[str, int] = {}  # by the key of the request: the same response is judged once
    for cell, evalset in judged:
        verdicts = results / layout.verdicts(cell.name, evalset, name)
        if not verdicts.is_file():
            with suppress(CloserlookError):  # there are no responses yet
                cases = read_cases(results / layout.responses(cell.name, evalset), results / layout.evalset(evalset))
                requests = build_requests(cases, prompt, judge)
                prompt_tokens |= {cache_key(judge, request): estimate_tokens(request.prompt) for request in requests}
                continue
        guessed.append((evalset, verdicts))
    output_tokens: float = TOKENS_PER_ASPECT * len(judge.aspects)
    asked = list(prompt_tokens.values())
    cache_file = results.parent / layout.ANSWER_CACHE
    if cache_file.is_file():
        with Cache(cache_file) as answers:
            output_tokens = answers.mean_output_tokens(model_and_server(judge)) or output_tokens
            asked = [tokens for key, tokens in prompt_tokens.items() if not answers.get(key)]
    guess = _guess_cost(
        name, judge, guessed, count, (estimate_tokens(prompt.template.template) + CASE_TOKENS, output_tokens)
    )
    calls, cached = len(asked) + guess.calls, len(prompt_tokens) - len(asked) + guess.cached
    inputs, outputs = sum(asked) + guess.input_tokens, round(calls * output_tokens)
    cost = price(judge, inputs, outputs)
    return replace(guess, calls=calls, cached=cached, input_tokens=inputs, output_tokens=outputs, cost=cost)
