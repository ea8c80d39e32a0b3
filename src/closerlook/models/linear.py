"""Faster linear layers on a CPU: oneDNN, with weights in its own layout.

For float32 PyTorch uses MKL, which does not use AVX-512 on AMD processors. oneDNN took 2.2 to 3.4 times less time for batches of
at least 8 rows, on layers of 256 x 256 to 262144 x 640. Both compute in float32. For bfloat16 PyTorch uses oneDNN too, but
arranges the weights again in each call: with 1 to 32 rows that took 1.1 to 1.8 times as long.
"""

import torch
from torch import Tensor, nn

from closerlook.models.precision import multiplies_bfloat16


class InferenceLinear(nn.Module):
    """An nn.Linear whose weight exists only in oneDNN's layout, so it cannot be trained or saved."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = None if linear.bias is None else linear.bias.detach()
        expected_rows = 64
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), expected_rows)

    def forward(self, rows: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features), in the weight's dtype."""
        return torch.ops.mkldnn._linear_pointwise(rows, self._weight, self.bias, "none", [], "")


def optimize_for_inference(model: nn.Module) -> None:
    """Replace the linear layers of a model on a CPU in place, except adapters, if PyTorch has oneDNN.

    Those in bfloat16 only where the CPU multiplies it.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return
    for name, module in list(model.named_modules()):
        weight = module.weight if type(module) is nn.Linear else None
        if weight is None or "lora_" in name or weight.device.type != "cpu":
            continue
        if weight.dtype != torch.float32 and not (
            weight.dtype == torch.bfloat16 and multiplies_bfloat16(weight.device)
        ):
            continue
        parent, _, own_name = name.rpartition(".")
        setattr(model.get_submodule(parent), own_name, InferenceLinear(module))
