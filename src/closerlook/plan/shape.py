"""What a model's shape says without its weights: its linear layers, and how many parameters it has and trains."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from closerlook.config.architecture import Architecture
from closerlook.config.catalog import MiniatureModel, Model
from closerlook.config.settings import FolderModel, TrainSettings

MINIATURE_VOCABULARY = 1000
"""About as many tokens as the miniature's tokenizer has; exact numbers come with its model."""


@dataclass(frozen=True)
class Linear:
    """A linear layer of `inputs` x `outputs` weights."""

    inputs: int
    outputs: int
    bias: bool


@dataclass(frozen=True)
class Shape:
    """Counts of an architecture. Checked against transformers' own models in tests/unit/plan."""

    architecture: Architecture

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""
        return self.architecture.hidden_size

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return self.architecture.num_hidden_layers

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.architecture.head_dim or self.hidden // self.architecture.num_attention_heads

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.architecture.num_attention_heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together, which is that of the value heads too."""
        return (self.architecture.num_key_value_heads or self.architecture.num_attention_heads) * self.head_dim

    @property
    def head(self) -> int:
        """Weights of the LM head (or of the embedding, which has as many)."""
        return self.architecture.vocab_size * self.hidden

    @property
    def tied(self) -> bool:
        """Whether one matrix is both embedding and LM head."""
        said = self.architecture.tie_word_embeddings
        return self.architecture.model_type == "gemma3_text" if said is None else said

    def linears(self) -> Iterator[Linear]:
        """The linear layers of one transformer layer, which are those that LoRA adapts."""
        a, phi = self.architecture, self.architecture.model_type == "phi"
        attention, feed_forward = a.attention_bias or phi, a.mlp_bias or phi
        for outputs in (self.queries, self.keys, self.keys):
            yield Linear(self.hidden, outputs, attention)
        yield Linear(self.queries, self.hidden, attention)
        for _ in range(1 if phi else 2):  # without or with a gate
            yield Linear(self.hidden, a.intermediate_size, feed_forward)
        yield Linear(a.intermediate_size, self.hidden, feed_forward)

    @cached_property
    def body(self) -> int:
        """Weights of all linear layers except the LM head: what every token is multiplied with."""
        return self.layers * sum(linear.inputs * linear.outputs for linear in self.linears())

    @cached_property
    def biases(self) -> int:
        """All parameters called bias: those of linear layers, and of Phi's LayerNorms and LM head."""
        phi = self.architecture.model_type == "phi"
        count = self.layers * sum(linear.outputs for linear in self.linears() if linear.bias)
        return count + phi * ((self.layers + 1) * self.hidden + self.architecture.vocab_size)

    @property
    def norms(self) -> int:
        """Scales of all norms: per layer two, Phi one, Gemma 3 four; Qwen 3 and Gemma 3 of query and key heads; the last one."""
        per_layer = {"phi": 1, "gemma3_text": 4}.get(self.architecture.model_type, 2) * self.hidden
        if self.architecture.model_type in ("qwen3", "gemma3_text"):
            per_layer += 2 * self.head_dim
        return self.layers * per_layer + self.hidden

    @cached_property
    def total(self) -> int:
        """Parameters of the base model, a tied matrix once."""
        return self.head * (1 if self.tied else 2) + self.body + self.biases + self.norms

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA adapters on all linear layers (Hu et al. 2021): r x inputs and outputs x r each."""
        return self.layers * sum(rank * (linear.inputs + linear.outputs) for linear in self.linears())

    def trainable(self, settings: TrainSettings) -> int:
        """Parameters that a training trains."""
        return {"full": self.total, "bias": self.biases, "lora": self.adapters(settings.lora_rank)}[settings.kind]


def shape_of(name: str, model: Model | None, results: Path, root: Path) -> Shape | None:
    """The shape of a model: from its config.json where it is, else from the catalog; None where neither tells it."""
    folders = [results / "models" / name]
    if model and isinstance(model.source, FolderModel):
        folders.append(root / model.source.folder)
    for folder in folders:
        if found := _read(folder / "config.json"):
            return Shape(found)
    if model and isinstance(model.source, MiniatureModel):
        return Shape(_miniature(model.source))
    return Shape(model.architecture) if model and model.architecture else None


def _read(file: Path) -> Architecture | None:
    """The architecture in a config.json; None where there is no such file, or its family is not known here."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        config["dtype"] = config.get("dtype") or config.get("torch_dtype") or "float32"
        return Architecture.model_validate({key: config[key] for key in Architecture.model_fields if key in config})
    except (OSError, ValueError, ValidationError, TypeError, AttributeError):
        return None


def _miniature(source: MiniatureModel) -> Architecture:
    settings = source.miniature
    return Architecture(
        model_type="llama",
        num_key_value_heads=None,
        head_dim=None,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        vocab_size=MINIATURE_VOCABULARY,
        tie_word_embeddings=True,
        attention_bias=True,
        mlp_bias=True,
        dtype="float32",
    )
