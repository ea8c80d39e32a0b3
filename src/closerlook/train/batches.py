"""Turn instances into micro-batches: tokens, the order of the run, and its division among ranks."""

import heapq
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.data.prompts import encode_prompts, encode_responses
from closerlook.models.packed import pack, to_device
from closerlook.train.distributed import Distributed

ENCODED_ROWS = 1000
"""Rows that are tokenized in one call: enough for all cores, and few enough that what the tokenizer returns stays small."""


@dataclass(frozen=True)
class Instance:
    """Tokens of a prompt and its response; those from `trained_from` on are trained."""

    tokens: np.ndarray
    trained_from: int


def tokenize(
    rows: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    max_length: int,
    quiet: bool = False,
    purpose: str = "train on",
) -> tuple[list[Instance], dict[str, int]]:
    """Tokenize rows: the instances that can be trained on, and counts (rows, used, cut_by_max_length, dropped_prompt_too_long).

    A response that does not fit is cut at its end, so it trains no end-of-sequence token. An instance whose prompt leaves no
    room for a response is dropped. Raises CloserlookError when none is left for `purpose`.
    """
    instances, cut = [], 0
    with tqdm(total=len(rows), desc="tokenize", disable=quiet, mininterval=1) as bar:
        for part in rows.select(["instruction", "response"]).to_batches(max_chunksize=ENCODED_ROWS):
            prompts = encode_prompts(tokenizer, template, part["instruction"].to_pylist())
            responses = encode_responses(tokenizer, part["response"].to_pylist())
            for prompt, response in zip(prompts, responses, strict=True):
                tokens = prompt + response
                if len(prompt) < max_length:
                    cut += len(tokens) > max_length
                    instances.append(Instance(np.array(tokens[:max_length], dtype=np.int32), max(1, len(prompt))))
            bar.update(len(part))
    if not instances:
        raise CloserlookError(
            f"no instance to {purpose}: of {len(rows)} rows, {len(rows)} have a prompt of max_length {max_length} tokens or "
            "more"
        )
    counts = {
        "rows": len(rows),
        "used": len(instances),
        "cut_by_max_length": cut,
        "dropped_prompt_too_long": len(rows) - len(instances),
    }
    return instances, counts


def order(count: int, settings: TrainSettings) -> np.ndarray:
    """Indices of the instances of each optimizer step: [steps, batch_size] int64.

    One permutation per epoch, each with its own seed, concatenated and cut into steps. One more epoch fills the last step.
    """
    steps = math.ceil(round(settings.epochs * count / settings.batch_size, 9))
    epochs = math.ceil(steps * settings.batch_size / count)
    permutations = [np.random.default_rng([settings.seed, epoch]).permutation(count) for epoch in range(epochs)]
    return np.concatenate(permutations)[: steps * settings.batch_size].reshape(steps, settings.batch_size)


def balance_by_length(lengths: list[int], bins: int) -> list[list[int]]:
    """Divide indices 0 .. n-1 into `bins` non-empty groups of nearly equal total length (longest processing time first)."""
    heap = [(0, group) for group in range(bins)]
    groups: list[list[int]] = [[] for _ in range(bins)]
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        total, group = heapq.heappop(heap)
        groups[group].append(index)
        heapq.heappush(heap, (total + lengths[index], group))
    return groups


def divide(lengths: list[int], ranks: int, engine: EngineSettings) -> list[list[int]]:
    """Divide the instances of a step, by their lengths, into micro-batches: equally many per rank, as few as `engine` allows.

    They have at most `micro_batch` instances on average. Each has at most `micro_tokens` tokens, or as many as the longest
    instance. Where some ranks would get an empty one, they are larger. Rank r takes every `ranks`-th, from the r-th on.
    """
    most = len(lengths) // ranks
    tokens = max(engine.micro_tokens or sum(lengths), max(lengths))
    fewest = max(math.ceil(len(lengths) / (engine.micro_batch * ranks)), math.ceil(sum(lengths) / (tokens * ranks)))
    for micro_steps in range(min(fewest, most), most + 1):
        groups = balance_by_length(lengths, micro_steps * ranks)
        if max(sum(lengths[index] for index in group) for group in groups) <= tokens:
            break
    return groups


@dataclass(frozen=True)
class MicroBatch:
    """The sequences that one rank passes through the model at once."""

    inputs: dict[str, Any]
    """Keyword arguments of the model's forward pass: a packed row, and `logits_to_keep`, where the next token is trained."""
    targets: Tensor
    """Those next tokens, int64."""
    positions: list[int]
    """Position of each sequence in the whole run: step * batch_size + index in the step."""


@dataclass(frozen=True)
class RankBatches:
    """One rank's micro-batches of an optimizer step, and the sums over all ranks."""

    batches: list[MicroBatch]
    tokens: int
    trained_tokens: int

    @property
    def slots(self) -> int:
        """Token positions that this rank passes through the model, padding included."""
        return sum(batch.inputs["input_ids"].numel() for batch in self.batches)


@dataclass(frozen=True)
class BatchSchedule:
    """All optimizer steps of a run: which instances, in which order, on which rank."""

    instances: list[Instance]
    order: np.ndarray
    engine: EngineSettings

    def batches_of_rank(self, step: int, world: Distributed) -> RankBatches:
        """This rank's micro-batches of `step`. Every rank gets equally many, all of nearly equal length."""
        instances = [self.instances[index] for index in self.order[step]]
        lengths = self._lengths(step)
        groups = divide(lengths, world.size, self.engine)[world.rank :: world.size]
        first = step * self.order.shape[1]
        return RankBatches(
            [micro_batch(instances, group, first, world.device) for group in groups],
            sum(lengths),
            sum(len(instance.tokens) - instance.trained_from for instance in instances),
        )

    def micro_steps(self, ranks: int) -> list[int]:
        """Number of micro-batches of each rank, for each optimizer step."""
        return [len(divide(self._lengths(step), ranks, self.engine)) // ranks for step in range(len(self.order))]

    def _lengths(self, step: int) -> list[int]:
        return [len(self.instances[index].tokens) for index in self.order[step]]


def micro_batch(instances: list[Instance], group: list[int], first: int, device: torch.device) -> MicroBatch:
    """Pack the instances with the indices `group` of a step; `first` is the step's first position in the run."""
    packed = [instances[index] for index in group]
    tokens = np.concatenate([instance.tokens for instance in packed], dtype=np.int64)
    trained = np.flatnonzero(np.concatenate([np.arange(len(one.tokens)) >= one.trained_from for one in packed]))
    inputs = pack([instance.tokens for instance in packed], device)
    inputs["logits_to_keep"] = to_device(trained - 1, device)  # a token is predicted from the one before it
    return MicroBatch(inputs, to_device(tokens[trained], device), [first + index for index in group])
