"""How much a cell's training has to do: instances, optimiser steps, tokens, and the arithmetic on them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Tokenizer

from closerlook.config.catalog import MeanTokens
from closerlook.config.settings import TrainSettings
from closerlook.plan.shape import Shape

SAMPLE = 256
"""Rows that are tokenised to know a dataset's mean length: the first ones, since prepared data are in random order."""
CHARACTERS_PER_TOKEN = 4.0
"""Of English text under vocabularies of 32,000 to 50,000 tokens; used where the model's own tokenizer is not here."""
SPREAD = 2.0
"""Mean of the squared lengths over the square of their mean, where only the mean is known. Measured: Alpaca 1.6, Dolly 3.5."""
LONGEST = 8
"""Longest instance over the mean length, where only the mean is known. Measured: Alpaca 9."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of a dataset's instances under a tokenizer and a template, in tokens, cut at max_length."""

    mean: float
    trained: float
    """Mean number of tokens that the loss is taken of: the response and its end of sequence."""
    mean_square: float
    longest: float
    source: str
    """Where they come from: data, data/characters or catalog."""


@lru_cache(maxsize=16)
def _tokenizer(file: Path) -> Tokenizer:
    return Tokenizer.from_file(str(file))


@lru_cache(maxsize=64)
def _sample(data: Path) -> tuple[list[str], list[str]]:
    batch = next(pq.ParquetFile(data).iter_batches(SAMPLE, columns=["instruction", "response"]))
    return batch["instruction"].to_pylist(), batch["response"].to_pylist()


def measure(data: Path, template: str, tokenizer: Path, max_length: int) -> Lengths:
    """Lengths of prepared data, from a sample; in characters / 4 where there is no tokenizer file."""
    instructions, responses = _sample(data)
    prompts = [template.replace("{instruction}", instruction) for instruction in instructions]
    count: Callable[[list[str], bool], list[float]] = _count_characters
    if tokenizer.is_file():
        encode = _tokenizer(tokenizer).encode_batch

        def count(texts: list[str], special: bool) -> list[float]:
            return [len(encoding.ids) for encoding in encode(texts, add_special_tokens=special)]

    pairs = list(zip(count(prompts, True), count(responses, False), strict=True))
    trained = [max(0.0, min(prompt + response + 1, max_length) - prompt) for prompt, response in pairs]
    lengths = [min(prompt + response + 1, max_length) for prompt, response in pairs]
    return Lengths(
        sum(lengths) / len(lengths),
        sum(trained) / len(trained),
        sum(length**2 for length in lengths) / len(lengths),
        max(lengths),
        "data" if tokenizer.is_file() else "data/characters",
    )


def _count_characters(texts: list[str], special: bool) -> list[float]:
    return [len(text) / CHARACTERS_PER_TOKEN + special for text in texts]


def guess(mean: MeanTokens, template: str, max_length: int) -> Lengths:
    """Lengths from the catalog's means. What max_length cuts of long instances is not known, and left out."""
    prompt = mean.instruction + len(template.replace("{instruction}", "")) / CHARACTERS_PER_TOKEN + 1
    trained = min(mean.response + 1, max_length)
    total = min(prompt + trained, max_length)
    return Lengths(total, trained, SPREAD * total**2, min(LONGEST * total, max_length), "catalog")


def steps(instances: int, settings: TrainSettings) -> int:
    """Optimiser steps, as the training counts them: the last one is filled up."""
    return math.ceil(round(settings.epochs * instances / settings.batch_size, 9))


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of a training, a multiplication and an addition counted as two."""

    model: float
    recomputed: float
    """Forward passes done again because of gradient checkpointing; no part of MFU."""

    @property
    def done(self) -> float:
        """All that the hardware has to do."""
        return self.model + self.recomputed


def flops(
    shape: Shape, settings: TrainSettings, tokens: float, trained: float, squares: float, checkpointing: bool
) -> Flops:
    """Operations on `tokens` tokens, of which `trained` meet the LM head; `squares` is the sum of the squared lengths.

    Per weight and token 2 forward, 2 for the input's gradient, and 2 for the weight's own where it is trained: 6N for
    full tuning, 4N plus 6 per adapter weight for LoRA. Attention as in PaLM, appendix B, without the causal half.
    """
    adapters = shape.adapters(settings.lora_rank) if settings.kind == "lora" else 0
    forward = 2.0 * (shape.body + adapters) * tokens + 4.0 * shape.layers * shape.queries * squares
    weights = 2.0 * {"full": shape.body, "lora": adapters, "bias": 0}[settings.kind] * tokens
    head = (6.0 if settings.kind == "full" else 4.0) * shape.head * trained
    backward = 2.0 * (shape.body + adapters) * tokens + 8.0 * shape.layers * shape.queries * squares
    return Flops(forward + backward + weights + head, forward if checkpointing else 0.0)
