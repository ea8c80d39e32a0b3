"""The language-model head and its cross entropy in one, on the trained tokens only, in pieces that bound memory.

With a large vocabulary the head is most of the arithmetic and its logits most of the memory. Here it scores only hidden states
whose next token is trained, a piece at a time, and computes the gradients in the same pass, while the logits are in memory.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from closerlook.core.errors import CloserlookError

PIECE = 1 << 25
"""Logits held at a time (128 MB in float32). Measured on one CPU core: larger pieces are hardly faster, smaller ones slower."""


class LinearCrossEntropy(torch.autograd.Function):
    """sum over i of -log softmax(hidden[i] @ weight.T + bias)[targets[i]], in float32, with gradients.

    hidden (n, d), weight (V, d), bias (V) or None, targets (n) int64; a scalar. Under autocast the products are in its dtype.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        """Compute the loss and, where a gradient is asked for, the gradients too."""
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_weight else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if needs_bias and bias is not None else None
        matrix = weight.to(dtype)
        loss = torch.zeros((), device=hidden.device)
        rows = max(1, PIECE // weight.shape[0])
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(targets), rows):
                piece, target = hidden[start : start + rows].to(dtype), targets[start : start + rows, None]
                scores = (piece @ matrix.T).float()
                if bias is not None:
                    scores += bias
                loss += _softmax_minus_one_hot_(scores, target)
                slope = scores.to(dtype)
                if grad_hidden is not None:
                    grad_hidden[start : start + rows] = slope @ matrix
                if grad_weight is not None and dtype == torch.float32:
                    grad_weight.addmm_(slope.T, piece)
                elif grad_weight is not None:
                    grad_weight += slope.T @ piece
                if grad_bias is not None:
                    grad_bias += scores.sum(0)
        ctx.gradients = grad_hidden, grad_weight, grad_bias
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """Scale the gradients that forward computed."""
        hidden, weight, bias = (None if gradient is None else gradient.mul_(scale) for gradient in ctx.gradients)
        ctx.gradients = None
        weight_dtype, bias_dtype = ctx.dtypes
        return (
            hidden,
            None if weight is None else weight.to(weight_dtype),
            None if bias is None else bias.to(bias_dtype),
            None,
        )


def _softmax_minus_one_hot_(scores: Tensor, target: Tensor) -> Tensor:
    """Turn scores (n, V) in place into the gradient of their summed cross entropy; returns that cross entropy."""
    scores -= scores.amax(dim=1, keepdim=True)
    chosen = scores.gather(1, target)
    total = scores.exp_().sum(dim=1, keepdim=True)
    scores /= total
    scores.scatter_add_(1, target, torch.full_like(chosen, -1.0))
    return (total.log() - chosen).sum()


class HeadLoss:
    """Makes a causal language model return its summed loss instead of its logits.

    The loss is computed inside the head's forward, where ZeRO-3 has already gathered the head's weights.
    Raises CloserlookError for a model whose output layer is not a linear one.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        head = model.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            raise CloserlookError(f"the model's output layer is {type(head).__name__}, expected a linear one")
        self.head, self.checked = head, False
        head.forward = self._forward  # type: ignore[method-assign]

    def _forward(self, input: Tensor) -> Tensor:
        weight: Tensor = self.head.weight
        bias: Tensor | None = self.head.bias
        if not torch.is_grad_enabled():  # autograd.Function ignores no_grad: detach, so that it computes no gradients
            weight, bias = weight.detach(), None if bias is None else bias.detach()
        self.loss = LinearCrossEntropy.apply(input.flatten(0, -2), weight, bias, self.targets)
        return self.loss

    def __call__(self, model: nn.Module, inputs: dict[str, Any], targets: Tensor) -> Tensor:
        """The summed cross entropy of `targets` (n); `inputs` has `logits_to_keep`, the n positions that predict them.

        `model` is the one given first, wrapped or not. Raises CloserlookError where it changes logits after its head.
        """
        self.targets = targets
        loss = model(**inputs).logits
        if not self.checked and loss.item() != self.loss.item() and loss.isfinite():
            raise CloserlookError("this model scales or caps its logits after the output layer, which is not supported")
        self.checked = True
        return loss
