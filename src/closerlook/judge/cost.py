"""What the judges of a preset will still cost, for `closerlook plan`: exact where the responses are there, else estimated."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from closerlook.config.catalog import MiniatureSource
from closerlook.config.judges import OpenAIJudge
from closerlook.config.load import Configuration
from closerlook.errors import CloserlookError
from closerlook.judge.asked import TOKENS_PER_ASPECT, requests_of
from closerlook.judge.budget import price, tokens_of
from closerlook.judge.cache import Cache
from closerlook.judge.prompts import read_prompt
from closerlook.judge.requests import key_of, source_of
from closerlook.judge.run import read_cases

CACHE = "judge_cache.sqlite"
"""Beside the results folders of all presets."""
PAIR_TOKENS = 64 + 256
"""Of an instruction and a response that are not there yet. An assumption."""


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


def calls_and_cost(configuration: Configuration, results: Path) -> list[JudgeCost]:
    """One entry per judge of the preset that is asked behind an endpoint; the others cost nothing."""
    judges = {name: configuration.catalog.judges[name] for name in configuration.preset.judges}
    return [
        _cost(name, judge, configuration, results) for name, judge in judges.items() if isinstance(judge, OpenAIJudge)
    ]


def _cost(name: str, judge: OpenAIJudge, configuration: Configuration, results: Path) -> JudgeCost:
    prompt = read_prompt(configuration.root / judge.prompt_file)
    cache = Cache(file) if (file := results.parent / CACHE).is_file() else None
    asked: dict[str, int] = {}  # tokens of the prompt by the key of the request
    done = guessed = 0
    unknown: dict[str, None] = {}
    for cell, evalset in _pairs(configuration):
        folder, questions = results / "cells" / cell / evalset, results / "evalsets" / f"{evalset}.parquet"
        rows = _rows(configuration, evalset, questions)
        if (folder / "verdicts" / f"{name}.parquet").is_file():
            done += rows or 0
            continue
        try:
            cases = read_cases(folder / "responses.parquet", questions)
        except CloserlookError:  # not there yet
            guessed += rows or 0
            unknown |= {evalset: None} if rows is None else {}
            continue
        asked |= {key_of(judge, request): tokens_of(request.prompt) for request in requests_of(cases, prompt, judge)}
    output = (cache and cache.mean_output_tokens(source_of(judge))) or TOKENS_PER_ASPECT * len(judge.aspects)
    calls = [tokens for key, tokens in asked.items() if not (cache and cache.get(key))]
    if cache:
        cache.close()
    inputs = sum(calls) + guessed * (tokens_of(prompt.template.template) + PAIR_TOKENS)
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
