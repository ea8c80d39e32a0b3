"""From instruction-tuning instances to micro-batches: tokens, the order of the run, and its division among ranks."""

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
from closerlook.train.distributed import World


@dataclass(frozen=True)
class Instance:
    """Tokens of prompt and response, end to end; only those from `trained_from` on are trained."""

    tokens: np.ndarray
    trained_from: int


def tokenise(
    rows: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    max_length: int,
    quiet: bool = False,
    purpose: str = "train on",
) -> tuple[list[Instance], dict[str, int]]:
    """The instances that can be trained on, and counts: rows, used, cut_by_max_length, dropped_prompt_too_long.

    A response that does not fit is cut at its end (and then teaches no end of sequence); an instance whose prompt leaves no
    room for any response is dropped. Raises CloserlookError when none is left for its `purpose`.
    """
    instances, cut = [], 0
    texts = zip(rows["instruction"].to_pylist(), rows["response"].to_pylist(), strict=True)
    for instruction, response in tqdm(texts, total=len(rows), desc="tokenise", disable=quiet, mininterval=1):
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
    """Indices of the instances of each optimiser step: (steps, batch_size), int64.

    Epoch after epoch, each a permutation of its own seed, cut into steps; the last step is filled up from one more epoch.
    """
    steps = math.ceil(round(settings.epochs * count / settings.batch_size, 9))
    epochs = math.ceil(steps * settings.batch_size / count)
    permutations = [np.random.default_rng([settings.seed, epoch]).permutation(count) for epoch in range(epochs)]
    return np.concatenate(permutations)[: steps * settings.batch_size].reshape(steps, settings.batch_size)


def deal(lengths: list[int], bins: int) -> list[list[int]]:
    """Divide places 0 .. n-1 into `bins` non-empty groups of nearly equal total length, the longest first."""
    heap = [(0, group) for group in range(bins)]
    groups: list[list[int]] = [[] for _ in range(bins)]
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        total, group = heapq.heappop(heap)
        groups[group].append(place)
        heapq.heappush(heap, (total + lengths[place], group))
    return groups


@dataclass(frozen=True)
class MicroBatch:
    """What one rank passes through the model at once."""

    inputs: dict[str, Any]
    """Keywords of the model's forward pass: a packed row, and in `logits_to_keep` where the next token is trained."""
    targets: Tensor
    """Those next tokens, int64."""
    places: list[int]
    """Places of its sequences in the whole run: step * batch_size + place in the step."""


@dataclass(frozen=True)
class Share:
    """One rank's micro-batches of an optimiser step, and the sums over all ranks."""

    batches: list[MicroBatch]
    tokens: int
    trained_tokens: int

    @property
    def slots(self) -> int:
        """Positions that this rank passes through the model, padding included, if there were any."""
        return sum(batch.inputs["input_ids"].numel() for batch in self.batches)


@dataclass(frozen=True)
class Course:
    """All optimiser steps of a run: which instances, in which order, on which rank."""

    instances: list[Instance]
    order: np.ndarray
    micro_steps: int

    def share(self, step: int, world: World) -> Share:
        """What this rank does in `step`. Every rank gets `micro_steps` micro-batches, all nearly equally long."""
        chosen = [self.instances[index] for index in self.order[step]]
        lengths = [len(instance.tokens) for instance in chosen]
        groups = deal(lengths, self.micro_steps * world.size)[world.rank :: world.size]
        first = step * self.order.shape[1]
        return Share(
            [micro_batch(chosen, group, first, world.device) for group in groups],
            sum(lengths),
            sum(len(instance.tokens) - instance.trained_from for instance in chosen),
        )


def micro_batch(instances: list[Instance], group: list[int], first: int, device: torch.device) -> MicroBatch:
    """The instances at the places `group` of a step whose first place in the run is `first`."""
    inputs = pack([instances[place].tokens.tolist() for place in group], device)
    trained, start = [], 0
    for place in group:
        one = instances[place]
        trained.append(np.arange(start + one.trained_from, start + len(one.tokens)))
        start += len(one.tokens)
    index = torch.from_numpy(np.concatenate(trained)).to(device)
    inputs["logits_to_keep"] = index - 1  # a token is predicted from the one before it
    return MicroBatch(inputs, inputs["input_ids"][0, index], [first + place for place in group])
