"""The language-model head and its cross entropy in one, on the trained tokens only, with bounded memory.

With a large vocabulary the head is most of the arithmetic and its logits most of the memory. Here it scores only hidden states
whose next token is trained. Float32 logits exist for one block of the vocabulary at a time. Their exponentials are kept, in the
dtype of the products, until the sum over the vocabulary is known; then they become the slopes of which the gradients are made.
So no product is computed twice, and the head's gradient is written once for each piece of trained tokens.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from closerlook.core.errors import CloserlookError

KEPT_BYTES = 1 << 29
"""Most bytes of exponentials at a time. More trained tokens are processed in several pieces."""
BLOCK = {"cpu": 1 << 12, "cuda": 1 << 30}
"""Tokens of the vocabulary per block: few on a CPU, whose cache then holds the logits until they are used; on a GPU, all."""


class LinearCrossEntropy(torch.autograd.Function):
    """sum over i of -log softmax(hidden[i] @ weight.T + bias)[targets[i]], with gradients: a float32 scalar.

    hidden (n, d), weight (V, d), bias (V) or None, targets (n) int64. Products are computed in weight's dtype, the softmax and
    sums of products in float32.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        """Compute the loss and, where a gradient is asked for, the gradients too."""
        needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
        rows = max(1, KEPT_BYTES // (weight.dtype.itemsize * len(weight)))
        summed = weight.dtype if len(targets) <= rows else torch.float32  # one product is not a sum of products
        grad_hidden = torch.zeros_like(hidden, dtype=torch.float32) if needs_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=summed) if needs_weight else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if needs_bias and bias is not None else None
        loss = torch.zeros((), device=hidden.device)
        for first in range(0, len(targets), rows):
            piece, target = hidden[first : first + rows].to(weight.dtype), targets[first : first + rows, None]
            piece_loss, slopes = _cross_entropy(piece, weight, bias, target, any(ctx.needs_input_grad))
            loss += piece_loss
            for block, slope in slopes:
                if grad_hidden is not None:
                    _add_product_(grad_hidden[first : first + rows], slope, weight[block])
                if grad_weight is not None:
                    _add_product_(grad_weight[block], slope.T, piece)
                if grad_bias is not None:
                    grad_bias[block] += slope.sum(0, dtype=torch.float32)
        ctx.gradients = grad_hidden, grad_weight, grad_bias
        ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradients that forward computed."""
        pairs = zip(ctx.gradients, ctx.dtypes, strict=True)
        ctx.gradients = None
        return *(None if gradient is None else gradient.mul_(scale).to(dtype) for gradient, dtype in pairs), None


def _cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, with_slopes: bool
) -> tuple[Tensor, list[tuple[slice, Tensor]]]:
    """The summed cross entropy of target (n, 1); for each block of the vocabulary, its slopes d loss / d logits, (n, block)."""
    width = BLOCK[weight.device.type]
    blocks = [_Block(hidden, weight, bias, target, first, width, with_slopes) for first in range(0, len(weight), width)]
    peak = torch.cat([block.peak for block in blocks], 1).amax(1, keepdim=True)
    total, chosen = torch.zeros_like(peak), torch.zeros_like(peak)
    for block in blocks:
        total += block.total * (block.peak - peak).exp()
        chosen += torch.where(block.own, block.own_logit + (block.peak - peak), 0)
    loss = (total.log() - chosen).sum()
    return loss, [(block.span, block.slopes(total * (peak - block.peak).exp())) for block in blocks if with_slopes]


class _Block:
    """The logits of a block of the vocabulary, of which only the exponentials are kept. Columns are (n, 1), float32."""

    def __init__(
        self,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        first: int,
        width: int,
        with_slopes: bool,
    ) -> None:
        self.span = slice(first, first + width)
        logits = _float32_product(hidden, weight[self.span].T)
        if bias is not None:
            logits += bias[self.span]
        # A block whose logits are all -inf gets a finite peak, so that its exponentials are 0.
        self.peak = logits.amax(1, keepdim=True).clamp_(min=torch.finfo(torch.float32).min)
        logits -= self.peak
        self.own = (target >= first) & (target < first + width)
        """Whether the target is in this block."""
        self.index = torch.where(self.own, target - first, 0)
        self.own_logit = logits.gather(1, self.index)
        self.total = logits.exp_().sum(1, keepdim=True)
        self.own_exponential = logits.gather(1, self.index)
        self.exponentials = logits.to(hidden.dtype) if with_slopes else None

    def slopes(self, total: Tensor) -> Tensor:
        """The exponentials over their total (n, 1) of the whole vocabulary, less 1 at the target; in place."""
        assert self.exponentials is not None
        slopes = self.exponentials.div_(total)
        # The probability less 1 is rounded, not the probability: near 1 that is all the difference.
        own = torch.where(self.own, self.own_exponential / total - 1, slopes.gather(1, self.index))
        return slopes.scatter_(1, self.index, own.to(slopes.dtype))


def _float32_product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b in float32. A CPU rounds products of bfloat16 to bfloat16."""
    return torch.mm(a, b, out_dtype=torch.float32) if a.is_cuda and a.dtype != torch.float32 else (a @ b).float()


def _add_product_(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a @ b, where total may be float32 and the factors narrower."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


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
