"""What is trained: all parameters, biases, or adapters; and NEFTune's noise."""

from typing import cast

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from closerlook.config.settings import TrainSettings
from closerlook.core.errors import CloserlookError


def apply_method(model: PreTrainedModel, settings: TrainSettings) -> PreTrainedModel:
    """Make trainable what `settings.kind` says and freeze the rest. Raises CloserlookError when nothing is left to train."""
    if settings.kind == "lora":
        adapters = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        return cast(PreTrainedModel, get_peft_model(model, adapters))  # passes for the model it wraps
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

    L is the length of each sequence, not of the packed row. The noise of a sequence is drawn from a generator of its own,
    seeded by `seed` and its place in the run: no batch, rank or restart changes it. Set `segments` and `places` before a pass.
    """

    def __init__(self, model: PreTrainedModel, alpha: float, seed: int) -> None:
        self.alpha, self.seed = alpha, seed
        self.segments: list[int] = []
        self.places: list[int] = []
        model.get_input_embeddings().register_forward_hook(self._add)

    def _add(self, module: nn.Module, _: tuple[Tensor, ...], embeddings: Tensor) -> Tensor | None:
        if not module.training:
            return None
        pieces = zip(embeddings.split(self.segments, dim=1), self.places, strict=True)
        return torch.cat([piece + self._noise(piece, place) for piece, place in pieces], dim=1)

    def _noise(self, piece: Tensor, place: int) -> Tensor:
        generator = torch.Generator(piece.device).manual_seed(draw_seed(self.seed, place))
        width = self.alpha / (piece.shape[1] * piece.shape[2]) ** 0.5
        return torch.empty_like(piece).uniform_(-width, width, generator=generator)


def draw_seed(*numbers: int) -> int:
    """A seed of 63 bits, the same for the same numbers and unrelated for others."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
