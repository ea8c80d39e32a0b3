"""A language model in two halves, so that only the positions somebody asks about meet the LM head, a few at a time.

With a vocabulary of 262k one position's logits are a megabyte: a response of 1,000 tokens would need a gigabyte per model.
The head always computes in float32, also where the body runs in bfloat16: in bfloat16 two logits near 20 that differ by less
than 0.1 are the same number, and ranks and the greedy token would be decided by chance.
"""

from copy import deepcopy
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from closerlook.core.errors import CloserlookError
from closerlook.models.linear import for_inference


def body_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What to load a model's body in. `precision`: float32, bfloat16, or auto (bfloat16 on a GPU, float32 on a CPU)."""
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


class Network:
    """`hidden(...)` runs the body, `logits(hidden)` the head, in float32. An adapter stays apart, under `model`.

    The model is from then on for inference alone (closerlook.models.linear).
    """

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        for_inference(model)
        self.model = model
        self.causal = cast(PreTrainedModel, model.get_base_model() if isinstance(model, PeftModel) else model)
        head = self.causal.get_output_embeddings()
        self.vocabulary: int = head.out_features
        self._head = head if self.causal.dtype == torch.float32 else deepcopy(head).float()
        self._body = self.causal.base_model
        self.config = self.causal.config.get_text_config()

    @property
    def device(self) -> torch.device:
        """Where the inputs must be."""
        return self.causal.device

    def hidden(self, **inputs: Any) -> Tensor:
        """Last hidden states, (batch, positions, width), of the inputs that the model's own forward takes."""
        # Those of a model that is spread over GPUs lie on the last.
        return self._body(**inputs).last_hidden_state.to(self.device)

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits, (..., vocabulary), of hidden states (..., width)."""
        return self._head(hidden.float()).to(self.device)

    @torch.inference_mode()
    def check(self) -> None:
        """Compare with the model's own logits on two tokens. Raises CloserlookError where it alters what its head says."""
        tokens = {"input_ids": torch.tensor([[0, 1]], device=self.device), "use_cache": False}
        tokens |= {"position_ids": torch.tensor([[0, 1]], device=self.device), "segments": [2]}
        ours, theirs = self.logits(self.hidden(**tokens)), self.causal(**tokens).logits.float()
        tolerance = (1e-3 if self.causal.dtype == torch.float32 else 5e-2) * max(1.0, theirs.abs().max().item())
        if not torch.allclose(ours, theirs, atol=tolerance, rtol=0, equal_nan=True):
            raise CloserlookError(
                f"{self.causal.name_or_path}: {type(self.causal).__name__} scales or caps the logits after its LM head, "
                "which closerlook does not follow; expected a model whose logits are its LM head's output"
            )
