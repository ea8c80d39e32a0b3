"""Compiled decoder layers, with code that serves packed rows of any number of sequences."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from closerlook.core.errors import CloserlookError
from closerlook.models.packed import packed_attention

COMPILED = "packed, in compiled layers"
"""Name of packed attention there."""


def compile_layers(model: PreTrainedModel, backend: str = "inductor") -> None:
    """Compile each decoder layer of a model with packed attention, all but its attention; the first passes wait for it.

    Raises CloserlookError if it knows no layers of the model.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise CloserlookError(
            f"compile: found no decoder layers in {type(model).__name__}, expected false for this model"
        )
    AttentionInterface.register(
        COMPILED, torch.compiler.disable(_attention)
    )  # imports the compiler, which takes seconds
    model.set_attn_implementation(COMPILED)
    model.base_model.register_forward_pre_hook(_hide_lengths, with_kwargs=True)
    for layer in layers:
        layer.compile(backend=backend, dynamic=True)


class _Lengths:
    """The lengths of a row's sequences, hidden from the compiler: it makes other code for each length of a list."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = lengths


def _hide_lengths(_: nn.Module, arguments: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return arguments, inputs | {"segments": _Lengths(inputs["segments"])}


def _attention(*arguments: Any, segments: _Lengths, **options: Any) -> tuple[Tensor, None]:
    return packed_attention(*arguments, segments=segments.lengths, **options)
