"""What the measurements share: the device, models of random weights, batches, the clock."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from closerlook.config.architecture import Architecture
from closerlook.config.load import Configuration, read
from closerlook.config.settings import TrainSettings
from closerlook.plan.shape import Shape
from closerlook.plan.work import count_flops
from common import REPOSITORY
from gpu.budget import Result, Skipped

TINY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 320,
}
"""The shape that replaces every other in a rehearsal."""
EXTRA = {"gemma3_text": {"sliding_window": 512}}
"""Keys of config.json that the catalog does not have, because no estimate needs them."""


@dataclass(frozen=True)
class Bench:
    """Where measurements run."""

    device: torch.device
    tiny: bool
    """A rehearsal: tiny models and few repeats, so that all of it runs on a CPU in a minute."""
    prepared: Path
    """What prepare.py made: tokenizer/, data/ and the pieces of the model."""
    folder: Path
    """For files that nobody needs afterwards."""
    peak_tflops: float
    """Of the GPU, for dense bfloat16 products; MFU is relative to it."""

    @cached_property
    def small(self) -> Configuration:
        """The preset small, and the catalog."""
        return read("config/small.yaml", REPOSITORY)

    def architecture(self, model: str, layers: int | None = None) -> Architecture:
        """The shape of a model in the catalog, with all its layers or with `layers` of them."""
        found = self.small.catalog.models[model].architecture
        assert found is not None
        return found.model_copy(update=TINY if self.tiny else {"num_hidden_layers": layers or found.num_hidden_layers})

    def build(self, architecture: Architecture, dtype: torch.dtype, attention: str, seed: int = 0) -> PreTrainedModel:
        """A model of random weights on the device, in evaluation mode."""
        torch.manual_seed(seed)
        with self.device:
            config = config_of(architecture)
            return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention).eval()

    def times(self, tiny: int, full: int) -> int:
        """How often to repeat something, or how long to make it: `tiny` in a rehearsal."""
        return tiny if self.tiny else full

    def wait(self) -> None:
        """Return when the device has done all its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        """How long the device takes for it."""
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def in_turn(self, methods: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Result]:
        """Median seconds of each method, and how many times those of the first one, taken within each repeat.

        All methods take turns in each repeat, after a first one that does not count.
        """
        runs = [{name: self.seconds(work) for name, work in methods.items()} for _ in range(repeats + 1)][1:]
        first = next(iter(methods))
        return {
            name: {
                "seconds": median(run[name] for run in runs),
                "times_the_first": median(run[name] / run[first] for run in runs),
            }
            for name in methods
        }

    def forget_peak(self) -> None:
        """Begin to measure peak memory."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float | None:
        """Most GPU memory since then, in GB; None on a CPU, where a peak cannot be forgotten."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.device.type == "cuda" else None

    def mfu(self, flops_per_second: float) -> Result:
        """Operations per second, and their share of the GPU's peak (Chowdhery et al. 2022); no share on a CPU."""
        tflops = flops_per_second / 1e12
        return {"tflops": tflops, "mfu": tflops / self.peak_tflops if self.device.type == "cuda" else None}

    def need_cuda(self, why: str) -> None:
        """Raise Skipped on a CPU."""
        if self.device.type != "cuda":
            raise Skipped(f"needs a GPU: {why}")


def config_of(architecture: Architecture) -> Any:
    """transformers' configuration of an architecture, whose models never end a response."""
    known = architecture.model_dump(exclude={"model_type", "dtype"}, exclude_none=True)
    return AutoConfig.for_model(
        architecture.model_type, **known, **EXTRA.get(architecture.model_type, {}), eos_token_id=None, pad_token_id=0
    )


def random_tokens(lengths: list[int], vocabulary: int, seed: int = 0) -> list[list[int]]:
    """Sequences of these lengths."""
    draw = np.random.default_rng(seed)
    return [draw.integers(3, vocabulary, length).tolist() for length in lengths]


def flops(architecture: Architecture, settings: TrainSettings, lengths: list[int], trained: int) -> float:
    """Operations of a training step on sequences of these lengths, as `closerlook plan` counts them."""
    squares = float(sum(length**2 for length in lengths))
    return count_flops(Shape(architecture), settings, sum(lengths), trained, squares, False)[0]
