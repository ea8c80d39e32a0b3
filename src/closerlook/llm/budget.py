"""Cost of API calls: estimated before the first call, counted as calls are made, and limited by a budget."""

from collections.abc import Iterable
from dataclasses import dataclass

from closerlook.config.judges import PaceSettings
from closerlook.core.errors import CloserlookError

CHARACTERS_PER_TOKEN = 4.0
"""Of English text. An estimate: the tokenizers of models behind endpoints are not at hand."""
TOKENS_PER_MESSAGE = 8
"""What a chat format adds to a prompt, about."""


def estimate_tokens(text: str) -> int:
    """Estimated tokens of a prompt."""
    return round(len(text) / CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE


def price(settings: PaceSettings, input_tokens: float, output_tokens: float) -> float | None:
    """What so many tokens cost; None where a price is not known."""
    if settings.input_price is None or settings.output_price is None:
        return None
    return (input_tokens * settings.input_price + output_tokens * settings.output_price) / 1e6


@dataclass(frozen=True)
class Budget:
    """The most that may be spent for a purpose, over all runs: what is in the cache is paid."""

    amount: float | None = None
    purpose: str = ""
    key: str = "judge_budget"
    """What the user sets it with."""


@dataclass(frozen=True)
class Preview:
    """What is still to ask. Tokens and cost are estimates."""

    requests: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None

    def __str__(self) -> str:
        cost = "unknown (no input_price and output_price)" if self.cost is None else f"about {self.cost:,.2f}"
        return (
            f"{self.requests:,} requests, {self.requests - self.calls:,} answered before; {self.calls:,} calls, estimated at "
            f"{self.input_tokens:,} + {self.output_tokens:,} tokens (characters / {CHARACTERS_PER_TOKEN:.0f}); cost {cost}"
        )


def preview(prompts: Iterable[str], requests: int, output_tokens: float, settings: PaceSettings) -> Preview:
    """Of the prompts that have no answer yet, each expected to be answered with so many tokens."""
    inputs = [estimate_tokens(prompt) for prompt in prompts]
    outputs = round(len(inputs) * output_tokens)
    return Preview(requests, len(inputs), sum(inputs), outputs, price(settings, sum(inputs), outputs))


def check_budget(budget: Budget, expected: Preview, spent: float, model: str) -> None:
    """Raise CloserlookError where the budget does not cover what is expected, or nobody can know."""
    if budget.amount is None or not expected.calls:
        return
    if expected.cost is None:
        raise CloserlookError(
            f"{budget.key}: found {budget.amount:,.2f}, but {model} has no prices to count with; expected input_price and "
            "output_price (per million tokens) in its entry under judges in the catalog"
        )
    if spent + expected.cost > budget.amount:
        before = f" after {spent:,.2f} spent before" if spent else ""
        raise CloserlookError(
            f"{budget.key}: found {budget.amount:,.2f}, expected at least {spent + expected.cost:,.2f}: {expected.calls:,} calls "
            f"to {model} are estimated at {expected.cost:,.2f}{before}. Nothing was paid now; raise {budget.key}, judge fewer "
            "cells, or name a cheaper judge"
        )
