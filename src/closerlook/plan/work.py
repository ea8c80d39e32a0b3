"""The work of a training: lengths of its instances, optimizer steps, and floating-point operations."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq
from tokenizers import Tokenizer

from closerlook.config.catalog import MeanTokens
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.plan.shape import Shape

SAMPLE = 256
"""Rows that are tokenized to measure a dataset's lengths: the first ones, since prepared data are in random order."""
CHARACTERS_PER_TOKEN = 4.0
"""Of English text under vocabularies of 32,000 to 50,000 tokens; used if the model's tokenizer is not there yet."""
SQUARE_RATIO = 2.0
"""Mean squared length over squared mean length, if only the mean is known. Measured: Alpaca 1.6, Dolly 3.5."""
LONGEST_RATIO = 8
"""Longest instance over the mean length, if only the mean is known. Measured: Alpaca 9."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of a dataset's instances under a tokenizer and a template, in tokens, truncated at max_length."""

    mean: float
    trained: float
    """Mean number of tokens with a loss: the response and its end of sequence."""
    mean_square: float
    longest: float
    source: str
    """What they come from: data, data/characters or catalog."""


def measure_lengths(data: Path, template: str, tokenizer_file: Path, max_length: int) -> Lengths:
    """Return the lengths of a sample of prepared data; without a tokenizer file, estimated from characters."""
    instructions, responses = _read_sample(data)
    prompts = [template.replace("{instruction}", instruction) for instruction in instructions]
    if tokenizer_file.is_file():
        encode = _read_tokenizer(tokenizer_file).encode_batch
        prompt_lengths = [float(len(encoding.ids)) for encoding in encode(prompts)]
        response_lengths = [float(len(encoding.ids)) for encoding in encode(responses, add_special_tokens=False)]
        source = "data"
    else:
        prompt_lengths = [len(prompt) / CHARACTERS_PER_TOKEN + 1 for prompt in prompts]
        response_lengths = [len(response) / CHARACTERS_PER_TOKEN for response in responses]
        source = "data/characters"
    lengths = [min(sum(pair) + 1, max_length) for pair in zip(prompt_lengths, response_lengths, strict=True)]
    trained = [max(0.0, length - prompt) for length, prompt in zip(lengths, prompt_lengths, strict=True)]
    return Lengths(fmean(lengths), fmean(trained), fmean(length**2 for length in lengths), max(lengths), source)


@lru_cache(maxsize=64)
def _read_sample(data: Path) -> tuple[list[str], list[str]]:
    batch = next(pq.ParquetFile(data).iter_batches(SAMPLE, columns=["instruction", "response"]))
    return batch["instruction"].to_pylist(), batch["response"].to_pylist()


@lru_cache(maxsize=16)
def _read_tokenizer(file: Path) -> Tokenizer:
    return Tokenizer.from_file(str(file))


def guess_lengths(mean: MeanTokens, template: str, max_length: int) -> Lengths:
    """Return lengths from the catalog's means. What max_length truncates of long instances is unknown, and ignored."""
    prompt = mean.instruction + len(template.replace("{instruction}", "")) / CHARACTERS_PER_TOKEN + 1
    trained = min(mean.response + 1, max_length)
    length = min(prompt + trained, max_length)
    return Lengths(length, trained, SQUARE_RATIO * length**2, min(LONGEST_RATIO * length, max_length), "catalog")


def count_steps(instances: int, settings: TrainSettings) -> int:
    """Return the number of optimizer steps; the last one is filled up, as in training."""
    return math.ceil(round(settings.epochs * instances / settings.batch_size, 9))


def count_micro_steps(settings: TrainSettings, engine: EngineSettings, tokens: float, ranks: int) -> int:
    """Return the micro-batches of each rank in an optimizer step of `tokens`, as training divides it (train.batches.divide)."""
    micro_steps = math.ceil(settings.batch_size / (engine.micro_batch * ranks))
    if engine.micro_tokens:
        micro_steps = max(micro_steps, math.ceil(tokens / (engine.micro_tokens * ranks)))
    return max(1, min(micro_steps, settings.batch_size // ranks))


def count_flops(
    shape: Shape, settings: TrainSettings, tokens: float, trained: float, squares: float, checkpointing: bool
) -> tuple[float, float]:
    """Return the floating-point operations of a training, and those that gradient checkpointing repeats.

    A multiplication and an addition count as two. `tokens` pass through the model, of which `trained` have a loss; `squares` is
    the sum of the squared lengths. Per weight and token 2 forward, 2 for the gradient of the input, and 2 for the weight's own
    if it is trained: 6N for full tuning (Kaplan et al. 2020), 4N plus 6 per adapter weight for LoRA. Attention as in PaLM
    (Chowdhery et al. 2022, appendix B), which ignores that it is causal. MFU does not count what is repeated.
    """
    adapters = shape.adapters(settings.lora_rank) if settings.kind == "lora" else 0
    attention = 4.0 * shape.layers * shape.query_width * squares
    forward = 2.0 * (shape.body + adapters) * tokens + attention
    trained_weights = {"full": shape.body, "lora": adapters, "bias": 0}[settings.kind]
    head = (6.0 if settings.kind == "full" else 4.0) * shape.head * trained
    model = 2 * forward + attention + 2.0 * trained_weights * tokens + head
    return model, forward if checkpointing else 0.0
