"""The cost of API calls: estimated before the first call, counted as calls are made, and limited by a budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from closerlook.config.judges import PaceSettings
from closerlook.core.errors import CloserlookError

CHARACTERS_PER_TOKEN = 4.0
"""Of English text. An estimate: the tokenizers of API models are not available."""
TOKENS_PER_MESSAGE = 8
"""Approximate overhead of a chat format per prompt."""


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a prompt."""
    return round(len(text) / CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE


def price(settings: PaceSettings, input_tokens: float, output_tokens: float) -> float | None:
    """Return the cost of tokens; None without prices."""
    if settings.input_price is None or settings.output_price is None:
        return None
    return (input_tokens * settings.input_price + output_tokens * settings.output_price) / 1e6


@dataclass(frozen=True)
class Budget:
    """The most that may be spent for a purpose, over all runs. Cached answers are already paid."""

    amount: float | None = None
    purpose: str = ""
    key: str = "judge_budget"
    """The configuration key, for messages."""


@dataclass(frozen=True)
class Preview:
    """Calls that are still to be made. Tokens and cost are estimates."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None

    def __str__(self) -> str:
        cost = "unknown (no input_price and output_price)" if self.cost is None else f"about {self.cost:,.2f}"
        return (
            f"{self.calls:,} calls, estimated at {self.input_tokens:,} + {self.output_tokens:,} tokens "
            f"(characters / {CHARACTERS_PER_TOKEN:.0f}); cost {cost}"
        )


def preview(prompts: Sequence[str], output_tokens: float, settings: PaceSettings) -> Preview:
    """Preview the calls for prompts without a cached answer. output_tokens: expected per answer."""
    inputs, outputs = sum(map(estimate_tokens, prompts)), round(len(prompts) * output_tokens)
    return Preview(len(prompts), inputs, outputs, price(settings, inputs, outputs))


def check_budget(budget: Budget, expected: Preview, spent: float, model: str) -> None:
    """Raise CloserlookError if the budget does not cover the expected cost, or if the cost is unknown."""
    if budget.amount is None or not expected.calls:
        return
    if expected.cost is None:
        raise CloserlookError(
            f"{budget.key}: found {budget.amount:,.2f}, but {model} has no prices; expected input_price and output_price "
            "(per million tokens) in its entry under judges in the catalog"
        )
    if spent + expected.cost > budget.amount:
        before = f" after {spent:,.2f} spent before" if spent else ""
        raise CloserlookError(
            f"{budget.key}: found {budget.amount:,.2f}, expected at least {spent + expected.cost:,.2f}: {expected.calls:,} calls "
            f"to {model} are estimated at {expected.cost:,.2f}{before}. No call was made; raise {budget.key}, judge fewer "
            "cells, or name a cheaper judge"
        )
