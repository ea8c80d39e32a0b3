"""A base model and a model tuned from it: two sets of weights, or one with an adapter that can be disabled."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from closerlook.core.errors import CloserlookError
from closerlook.models.load import context_length, load_base, load_tokenizer, load_tuned
from closerlook.models.logits import Network
from closerlook.models.packed import PACKED, pack

logger = logging.getLogger(__name__)


class ModelPair:
    """Base and tuned model on the same tokens. `hidden` and `logits` return (base, tuned)."""

    def __init__(self, base: Path, tuned: Path, device: torch.device, dtype: torch.dtype, gpus: int = 1) -> None:
        self.tuned = Network(load_tuned(base, tuned, device, dtype, PACKED, gpus))
        self._adapter = _can_be_disabled(self.tuned)
        self.base = self.tuned if self._adapter else Network(load_base(base, device, dtype, PACKED, gpus))
        sizes = {name: network.vocabulary for name, network in self._named()}
        if sizes["base"] != sizes["tuned"]:
            raise CloserlookError(
                f"vocabularies differ: {base} predicts {sizes['base']} tokens, {tuned} {sizes['tuned']}; expected the same, "
                "since distributions over different tokens cannot be compared (was a padding token added in training?)"
            )
        self.vocabulary = sizes["base"]
        self.context = min(context_length(network.config) for _, network in self._named())
        for _, network in self._named():
            network.check()

    def _named(self) -> list[tuple[str, Network]]:
        return [("base", self.base), ("tuned", self.tuned)]

    def _as_base(self) -> AbstractContextManager:
        model = self.tuned.model
        return model.disable_adapter() if self._adapter and isinstance(model, PeftModel) else nullcontext()

    def hidden(self, sequences: list[list[int]], positions: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states, (len(positions), width) each, at `positions` of the concatenated sequences."""
        inputs = pack(sequences, self.base.device)
        positions = positions.to(self.base.device)
        with self._as_base():
            base = self.base.hidden(**inputs)[0, positions]
        return base, self.tuned.hidden(**inputs)[0, positions]

    def compare(
        self,
        rows: Sequence[dict[str, Any]],
        most: int,
        statistics: Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Statistics of the tokens of rows (prompt_token_ids, token_ids), one row's after the other's, on the CPU.

        statistics: a function of both models' logits before each token, (positions, vocabulary) float32, and of these tokens,
        (positions,) int64. most: logits of a model that exist at a time, or those of one position.
        """
        sequences = [row["prompt_token_ids"] + row["token_ids"][:-1] for row in rows]
        lengths = [len(row["token_ids"]) for row in rows]
        ends = torch.tensor([len(sequence) for sequence in sequences]).cumsum(0).tolist()
        positions = torch.cat([torch.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)])
        tokens = torch.tensor([token for row in rows for token in row["token_ids"]], dtype=torch.int64)
        parts = (*self.hidden(sequences, positions), tokens.to(self.base.device))
        chunks = [
            statistics(*self.logits(base, tuned), tokens)
            for base, tuned, tokens in zip(
                *(part.split(max(1, most // self.vocabulary)) for part in parts), strict=True
            )
        ]
        return {name: torch.cat([chunk[name] for chunk in chunks]).cpu() for name in chunks[0]}

    def logits(self, base: Tensor, tuned: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 logits, (positions, vocabulary) each, of each model's hidden states."""
        with self._as_base():
            base_logits = self.base.logits(base)
        return base_logits, self.tuned.logits(tuned)


def _can_be_disabled(network: Network) -> bool:
    """Whether disabling the adapter of `network` restores the base model (biases that were trained with it would stay)."""
    if not isinstance(network.model, PeftModel):
        return False
    return all(getattr(config, "bias", "none") == "none" for config in network.model.peft_config.values())


def common_tokenizer(base: Path, tuned: Path) -> PreTrainedTokenizerBase | None:
    """The base's tokenizer, or None if it has none. Raises CloserlookError if the tuned folder's maps an id to another token."""
    try:
        tokenizer = load_tokenizer(base)
    except CloserlookError as error:
        logger.warning("no tokenizer (%s): every response counts as one sentence and token_start is -1", error)
        return None
    if any((tuned / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")):
        other = {id: token for token, id in load_tokenizer(tuned).get_vocab().items()}
        for token, id in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
            if other.get(id, token) != token:
                raise CloserlookError(
                    f"tokenizers differ: token {id} is {token!r} in {base} and {other[id]!r} in {tuned}; expected one tokenizer, "
                    "since the models must see the same tokens"
                )
    return tokenizer
