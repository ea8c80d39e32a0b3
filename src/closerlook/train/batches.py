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

from closerlook.config.settings import TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.data.prompts import encode_prompt, encode_response
from closerlook.models.packed import pack
from closerlook.train.distributed import Distributed


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
    texts = zip(rows["instruction"].to_pylist(), rows["response"].to_pylist(), strict=True)
    for instruction, response in tqdm(texts, total=len(rows), desc="tokenize", disable=quiet, mininterval=1):
        prompt = encode_prompt(tokenizer, template, instruction)
        tokens = prompt + encode_response(tokenizer, response)
        if len(prompt) < max_length:
            cut += len(tokens) > max_length
            instances.append(Instance(np.array(tokens[:max_length], dtype=np.int32), max(1, len(prompt))))
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
    micro_steps: int

    def batches_of_rank(self, step: int, world: Distributed) -> RankBatches:
        """This rank's micro-batches of `step`. Every rank gets `micro_steps` of them, all of nearly equal length."""
        instances = [self.instances[index] for index in self.order[step]]
        lengths = [len(instance.tokens) for instance in instances]
        groups = balance_by_length(lengths, self.micro_steps * world.size)[world.rank :: world.size]
        first = step * self.order.shape[1]
        return RankBatches(
            [micro_batch(instances, group, first, world.device) for group in groups],
            sum(lengths),
            sum(len(instance.tokens) - instance.trained_from for instance in instances),
        )


def micro_batch(instances: list[Instance], group: list[int], first: int, device: torch.device) -> MicroBatch:
    """Pack the instances with the indices `group` of a step; `first` is the step's first position in the run."""
    inputs = pack([instances[index].tokens.tolist() for index in group], device)
    trained, start = [], 0
    for instance in (instances[index] for index in group):
        trained.append(np.arange(start + instance.trained_from, start + len(instance.tokens)))
        start += len(instance.tokens)
    trained_positions = torch.from_numpy(np.concatenate(trained)).to(device)
    inputs["logits_to_keep"] = trained_positions - 1  # a token is predicted from the one before it
    return MicroBatch(inputs, inputs["input_ids"][0, trained_positions], [first + index for index in group])
