"""A language model split into body and LM head, so that logits are computed only for the positions that need them.

With a vocabulary of 262k, the logits of one position take a megabyte and those of a response of 1,000 tokens a gigabyte. The head
always computes in float32, even if the body runs in bfloat16: there, two logits near 20 that differ by less than 0.1 are equal,
so ranks and the greedy token would be random.
"""

from copy import deepcopy
from functools import cached_property
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from closerlook.core.errors import CloserlookError
from closerlook.models.linear import InferenceLinear, optimize_for_inference
from closerlook.models.packed import pack


class Network:
    """A model in two parts: `hidden(...)` runs the body and `logits(hidden)` the head, in float32.

    The given model is `model`, with its adapter if it has one; it can only be used for inference (closerlook.models.linear).
    """

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        self.model = model
        self.causal = cast(PreTrainedModel, model.get_base_model() if isinstance(model, PeftModel) else model)
        # It keeps its weight when the model's head is replaced.
        self._linear: nn.Linear = self.causal.get_output_embeddings()
        self.vocabulary: int = self._linear.out_features
        optimize_for_inference(model)
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

    @cached_property
    def _head(self) -> nn.Module:
        """The head in float32."""
        if self.causal.dtype == torch.float32:
            return self.causal.get_output_embeddings()
        head = nn.ModuleList([deepcopy(self._linear).float()])
        optimize_for_inference(head)
        return head[0]

    def log_probs(self, hidden: Tensor, targets: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """Log-probability in nats of each target, (rows,) int64, after the hidden states (rows, width): (rows,) float32.

        And whether no token is likelier: (rows,) bool. most: logits that exist at a time, or one row.
        """
        rows = max(1, most // self.vocabulary)
        pieces = [targets.new_empty(0, dtype=torch.float32)]
        likeliest = [targets.new_empty(0, dtype=torch.bool)]
        for states, tokens in zip(hidden.split(rows), targets.split(rows), strict=True):
            log_probs = torch.log_softmax(self.logits(states), -1)
            pieces.append(log_probs.gather(-1, tokens[:, None])[:, 0])
            likeliest.append(pieces[-1] == log_probs.amax(-1))
        return torch.cat(pieces), torch.cat(likeliest)

    def greedy(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest tokens after hidden states (rows, width), the lowest id among equals, and their logits: (rows,) each.

        A bfloat16 head on a CPU is read in bfloat16, half as many bytes; only tokens whose rounded logits are within rounding of
        the largest are then computed in float32.
        """
        head = self.causal.get_output_embeddings()
        if isinstance(head, InferenceLinear) and self.causal.dtype == torch.bfloat16:
            rounded = head(hidden)
            # Each logit is rounded by at most 2^-8 of itself; the threshold is twice that, for the two that it compares.
            peak = rounded.amax(-1, keepdim=True)
            rows, ids = (rounded >= peak - peak.abs() / 128 - 1e-3).nonzero(as_tuple=True)
            if len(hidden) <= len(ids) <= 100 * len(hidden):
                logits = (hidden.float()[rows] * self._linear.weight[ids].float()).sum(-1)
                if self._linear.bias is not None:
                    logits += self._linear.bias[ids].float()
                best = logits.new_full((len(hidden),), -torch.inf).scatter_reduce(0, rows, logits, "amax")
                equal = logits == best[rows]
                first = ids.new_full((len(hidden),), self.vocabulary)
                return first.scatter_reduce(0, rows[equal], ids[equal], "amin"), best
        logits = self.logits(hidden)
        tokens = logits.argmax(-1)
        return tokens, logits.gather(-1, tokens[:, None])[:, 0]

    @torch.inference_mode()
    def check(self) -> None:
        """Compare with the model's own logits on two tokens. Raises CloserlookError if it changes the head's output."""
        tokens = pack([[0, 1]], self.device)
        logits, expected = self.logits(self.hidden(**tokens)), self.causal(**tokens).logits.float()
        tolerance = (1e-3 if self.causal.dtype == torch.float32 else 5e-2) * max(1.0, expected.abs().max().item())
        if not torch.allclose(logits, expected, atol=tolerance, rtol=0, equal_nan=True):
            raise CloserlookError(
                f"{self.causal.name_or_path}: {type(self.causal).__name__} scales or caps the logits after its LM head, "
                "which closerlook does not support; expected a model whose logits are its LM head's output"
            )
