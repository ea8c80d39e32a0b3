"""Select the parameters that are trained: all, biases, or adapters. And NEFTune's noise on the embeddings."""

from typing import cast

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from closerlook.config.settings import TrainSettings
from closerlook.core.errors import CloserlookError


def apply_method(model: PreTrainedModel, settings: TrainSettings) -> PreTrainedModel:
    """Make the parameters of `settings.kind` trainable and freeze the rest. Raises CloserlookError when there are none."""
    if settings.kind == "lora":
        adapters = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        return cast(PreTrainedModel, get_peft_model(model, adapters))  # it forwards to the model it wraps
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(settings.kind == "full" or name.endswith(".bias"))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise CloserlookError(
            f"kind bias: nothing to train, {type(model).__name__} ({model.config.model_type}) has no bias parameters; "
            "Llama-like models have none, Phi-like ones do. Use kind lora or full for it"
        )
    return model


class SegmentNoise:
    """NEFTune (Jain et al. 2023): uniform noise of half-width alpha / sqrt(L d) on the embeddings, in training only.

    L is the length of each sequence, not of the packed row. Each sequence has a generator of its own, seeded by `seed` and its
    position in the run, so no batch, rank or restart changes its noise. Set `segments` and `positions` before a pass.
    """

    def __init__(self, model: PreTrainedModel, alpha: float, seed: int) -> None:
        self.alpha, self.seed = alpha, seed
        self.segments: list[int] = []
        self.positions: list[int] = []
        model.get_input_embeddings().register_forward_hook(self._add)

    def _add(self, module: nn.Module, _: tuple[Tensor, ...], embeddings: Tensor) -> Tensor | None:
        if not module.training:
            return None
        sequences = zip(embeddings.split(self.segments, dim=1), self.positions, strict=True)
        return torch.cat([sequence + self._noise(sequence, position) for sequence, position in sequences], dim=1)

    def _noise(self, sequence: Tensor, position: int) -> Tensor:
        generator = torch.Generator(sequence.device).manual_seed(draw_seed(self.seed, position))
        width = self.alpha / (sequence.shape[1] * sequence.shape[2]) ** 0.5
        return torch.empty_like(sequence).uniform_(-width, width, generator=generator)


def draw_seed(*numbers: int) -> int:
    """A seed of 63 bits, the same for the same numbers and unrelated for others."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
