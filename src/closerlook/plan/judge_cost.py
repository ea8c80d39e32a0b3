"""What the judges of a preset will still cost, for `closerlook plan`: exact where the responses are there, else estimated."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from closerlook.config.catalog import ApiModel, MiniatureSource
from closerlook.config.judges import OpenAIJudge
from closerlook.config.load import Configuration
from closerlook.config.markers import JudgeMarker
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text
from closerlook.judge.prompt_judge import TOKENS_PER_ASPECT, read_prompt, requests_of
from closerlook.judge.verdicts import read_cases
from closerlook.llm.budget import estimate_tokens, price
from closerlook.llm.cache import Cache
from closerlook.llm.client import ANSWER_TOKENS, cache_key, model_and_server

INSTRUCTION_TOKENS = 64
"""Of an instruction that is not there yet. An assumption."""
PAIR_TOKENS = INSTRUCTION_TOKENS + 256
"""Of an instruction and a response that are not there yet. An assumption."""
SPAN_TOKENS = 160
"""Of the spans that a judge quotes in one response. An assumption."""


@dataclass(frozen=True)
class JudgeCost:
    """What one judge behind an endpoint has still to be asked. Tokens and cost are estimates; cost None: no prices."""

    judge: str
    calls: int
    cached: int
    """Requests that were answered before, or whose verdicts are there."""
    input_tokens: int
    output_tokens: int
    cost: float | None
    guessed: int
    """Calls about responses that are not there yet."""
    unknown: tuple[str, ...]
    """Evalsets of unknown size, which are left out."""
    task: str = "judging"
    """Or answering, where a model of the grid is behind the endpoint."""


def calls_and_cost(configuration: Configuration, results: Path) -> list[JudgeCost]:
    """One entry per judge, marker and model that is asked behind an endpoint; the others cost nothing."""
    catalog, preset = configuration.catalog, configuration.preset
    judges = {name: catalog.judges[name] for name in preset.judges}
    markers = {name: catalog.markers[name] for name in preset.all_markers}
    costs = [
        *(
            _cost(name, judge, configuration, results)
            for name, judge in judges.items()
            if isinstance(judge, OpenAIJudge)
        ),
        *(_marking(name, one, configuration, results) for name, one in markers.items() if isinstance(one, JudgeMarker)),
    ]
    for name in dict.fromkeys(cell.model for cell in configuration.cells):
        source = configuration.catalog.models[name].source
        if isinstance(source, ApiModel):
            judge = configuration.catalog.judges[source.endpoint]
            assert isinstance(judge, OpenAIJudge)  # or the configuration is refused
            costs.append(_answers(name, judge, configuration, results))
    return costs


def _answers(model: str, judge: OpenAIJudge, configuration: Configuration, results: Path) -> JudgeCost:
    """What a model behind an endpoint has still to answer; the cache is not asked, since the prompts are not there yet."""
    done = calls = 0
    unknown: dict[str, None] = {}
    for cell, evalsets in configuration.cells.items():
        for evalset in evalsets if cell.model == model else ():
            rows = _rows(configuration, evalset, results / layout.evalset(evalset))
            unknown |= {evalset: None} if rows is None else {}
            if (results / layout.responses(cell.name, evalset)).is_file():
                done += rows or 0
            else:
                calls += rows or 0
    inputs, outputs = calls * INSTRUCTION_TOKENS, calls * ANSWER_TOKENS
    cost = price(judge, inputs, outputs)
    return JudgeCost(model, calls, done, inputs, outputs, cost, calls, tuple(unknown), "answering")


def _marking(name: str, marker: JudgeMarker, configuration: Configuration, results: Path) -> JudgeCost:
    """One call per response; all lengths but the prompt's are assumed."""
    judge = configuration.catalog.judges[marker.judge]
    assert isinstance(judge, OpenAIJudge)
    calls = done = 0
    unknown: dict[str, None] = {}
    for cell, evalset in _pairs(configuration):
        if name not in configuration.traced.markers(configuration.cell_of[cell], evalset):
            continue
        rows = _rows(configuration, evalset, results / layout.evalset(evalset))
        unknown |= {evalset: None} if rows is None else {}
        if (results / layout.spans(cell, evalset, name)).is_file():
            done += rows or 0
        else:
            calls += rows or 0
    prompt = read_text(configuration.root / marker.prompt_file, "prompt")
    inputs, outputs = calls * (estimate_tokens(prompt) + PAIR_TOKENS), calls * SPAN_TOKENS
    cost = price(judge, inputs, outputs)
    return JudgeCost(f"marker {name}", calls, done, inputs, outputs, cost, calls, tuple(unknown))


def _cost(name: str, judge: OpenAIJudge, configuration: Configuration, results: Path) -> JudgeCost:
    prompt = read_prompt(configuration.root / judge.prompt_file)
    cache = Cache(file) if (file := results.parent / layout.ANSWER_CACHE).is_file() else None
    asked: dict[str, int] = {}  # tokens of the prompt by the key of the request
    done = guessed = 0
    unknown: dict[str, None] = {}
    for cell, evalset in _pairs(configuration):
        questions = results / layout.evalset(evalset)
        rows = _rows(configuration, evalset, questions)
        if (results / layout.verdicts(cell, evalset, name)).is_file():
            done += rows or 0
            continue
        try:
            cases = read_cases(results / layout.responses(cell, evalset), questions)
        except CloserlookError:  # not there yet
            guessed += rows or 0
            unknown |= {evalset: None} if rows is None else {}
            continue
        asked |= {
            cache_key(judge, request): estimate_tokens(request.prompt) for request in requests_of(cases, prompt, judge)
        }
    output = (cache and cache.mean_output_tokens(model_and_server(judge))) or TOKENS_PER_ASPECT * len(judge.aspects)
    calls = [tokens for key, tokens in asked.items() if not (cache and cache.get(key))]
    if cache:
        cache.close()
    inputs = sum(calls) + guessed * (estimate_tokens(prompt.template.template) + PAIR_TOKENS)
    outputs = round((len(calls) + guessed) * output)
    return JudgeCost(
        judge=name,
        calls=len(calls) + guessed,
        cached=done + len(asked) - len(calls),
        input_tokens=inputs,
        output_tokens=outputs,
        cost=price(judge, inputs, outputs),
        guessed=guessed,
        unknown=tuple(unknown),
    )


def _pairs(configuration: Configuration) -> Iterator[tuple[str, str]]:
    for cell, evalsets in configuration.cells.items():
        for evalset in evalsets:
            if not configuration.traced.is_paraphrase(evalset):
                yield cell.name, evalset


def _rows(configuration: Configuration, evalset: str, prepared: Path) -> int | None:
    """Instructions of an evalset: of the prepared one, else what the catalog says."""
    try:
        return pq.read_metadata(prepared).num_rows
    except (OSError, pa.ArrowInvalid):
        entry = configuration.catalog.evalsets[evalset]
        if entry.rows:
            return entry.rows[1] - entry.rows[0]
        return configuration.catalog.miniature.questions if isinstance(entry.source, MiniatureSource) else None
