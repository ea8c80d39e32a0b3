"""A language model split into body and LM head, so that logits are computed only for the positions that need them.

With a vocabulary of 262k, the logits of one position take a megabyte and those of a response of 1,000 tokens a gigabyte. The head
always computes in float32, even if the body runs in bfloat16: there, two logits near 20 that differ by less than 0.1 are equal,
so ranks and the greedy token would be random.
"""

from copy import deepcopy
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from closerlook.core.errors import CloserlookError
from closerlook.models.linear import optimize_for_inference


def body_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of a model's body. precision: float32, bfloat16, or auto (bfloat16 on a GPU, float32 on a CPU)."""
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


class Network:
    """A model in two parts: `hidden(...)` runs the body and `logits(hidden)` the head, in float32.

    The given model is `model`, with its adapter if it has one; it can only be used for inference (closerlook.models.linear).
    """

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        optimize_for_inference(model)
        self.model = model
        self.causal = cast(PreTrainedModel, model.get_base_model() if isinstance(model, PeftModel) else model)
        head = self.causal.get_output_embeddings()
        self.vocabulary: int = head.out_features
        self._head = head if self.causal.dtype == torch.float32 else deepcopy(head).float()
        self._body = self.causal.base_model
        self.config = self.causal.config.get_text_config()

    @property
    def device(self) -> torch.device:
        """The device of inputs and outputs."""
        return self.causal.device

    def hidden(self, **inputs: Any) -> Tensor:
        """Last hidden states, (batch, positions, width). inputs: as for the model's forward."""
        # A model that is spread over GPUs returns them on the last one.
        return self._body(**inputs).last_hidden_state.to(self.device)

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits, (..., vocabulary), of hidden states (..., width)."""
        return self._head(hidden.float()).to(self.device)

    @torch.inference_mode()
    def check(self) -> None:
        """Compare with the model's own logits on two tokens. Raises CloserlookError if it changes the head's output."""
        tokens = {"input_ids": torch.tensor([[0, 1]], device=self.device), "use_cache": False}
        tokens |= {"position_ids": torch.tensor([[0, 1]], device=self.device), "segments": [2]}
        logits, expected = self.logits(self.hidden(**tokens)), self.causal(**tokens).logits.float()
        tolerance = (1e-3 if self.causal.dtype == torch.float32 else 5e-2) * max(1.0, expected.abs().max().item())
        if not torch.allclose(logits, expected, atol=tolerance, rtol=0, equal_nan=True):
            raise CloserlookError(
                f"{self.causal.name_or_path}: {type(self.causal).__name__} scales or caps the logits after its LM head, "
                "which closerlook does not support; expected a model whose logits are its LM head's output"
            )
