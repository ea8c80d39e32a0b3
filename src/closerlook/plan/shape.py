"""The shape of a model: its linear layers, and how many parameters it has and trains. No weights are read."""

import json
from pathlib import Path
from typing import NamedTuple

from closerlook.config.architecture import Architecture
from closerlook.config.catalog import MiniatureModel, Model
from closerlook.config.settings import FolderModel, TrainSettings
from closerlook.core import layout

MINIATURE_VOCABULARY = 1000
"""Approximate vocabulary of the miniature's tokenizer; its model's config.json has the exact number."""


class Linear(NamedTuple):
    """A linear layer of `inputs` x `outputs` weights."""

    inputs: int
    outputs: int
    bias: bool


class Shape:
    """Widths and parameter counts of an architecture. tests/unit/plan compares them with transformers' models."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.hidden = architecture.hidden_size
        """Width of the residual stream."""
        self.layers = architecture.num_hidden_layers
        heads = architecture.num_attention_heads
        head_dim = architecture.head_dim or self.hidden // heads
        self.query_width = heads * head_dim
        """Width of all query heads."""
        self.key_width = (architecture.num_key_value_heads or heads) * head_dim
        """Width of all key heads, and of all value heads."""

        family = architecture.model_type
        is_phi = family == "phi"
        attention_bias, mlp_bias = architecture.attention_bias or is_phi, architecture.mlp_bias or is_phi
        up_projections = 1 if is_phi else 2  # without or with a gate
        self.linears = [
            Linear(self.hidden, self.query_width, attention_bias),
            Linear(self.hidden, self.key_width, attention_bias),
            Linear(self.hidden, self.key_width, attention_bias),
            Linear(self.query_width, self.hidden, attention_bias),
            *[Linear(self.hidden, architecture.intermediate_size, mlp_bias)] * up_projections,
            Linear(architecture.intermediate_size, self.hidden, mlp_bias),
        ]
        """The linear layers of one transformer layer, all of which LoRA adapts."""
        self.body = self.layers * sum(linear.inputs * linear.outputs for linear in self.linears)
        """Weights of all linear layers except the LM head."""
        self.head = architecture.vocab_size * self.hidden
        """Weights of the LM head; the embedding has as many."""
        self.biases = self.layers * sum(linear.outputs for linear in self.linears if linear.bias)
        """Parameters called bias."""
        if is_phi:  # its LayerNorms and its LM head have biases too
            self.biases += (self.layers + 1) * self.hidden + architecture.vocab_size

        norms = {"phi": 1, "gemma3_text": 4}.get(family, 2) * self.hidden
        if family in ("qwen3", "gemma3_text"):
            norms += 2 * head_dim  # of the query and key heads
        tied = architecture.tie_word_embeddings
        tied = family == "gemma3_text" if tied is None else tied
        embeddings = self.head if tied else 2 * self.head
        self.total = embeddings + self.body + self.biases + self.layers * norms + self.hidden
        """Parameters of the base model; a matrix that embedding and LM head share counts once."""
        self.file_size = self.total * (4 if architecture.dtype == "float32" else 2)
        """Bytes of the weight files."""

    def adapters(self, rank: int) -> int:
        """Return the number of parameters of LoRA adapters on all linear layers (Hu et al. 2021)."""
        return self.layers * sum(rank * (linear.inputs + linear.outputs) for linear in self.linears)

    def trainable(self, settings: TrainSettings) -> int:
        """Return the number of parameters that a training updates."""
        return {"full": self.total, "bias": self.biases, "lora": self.adapters(settings.lora_rank)}[settings.kind]


def find_shape(name: str, model: Model | None, results: Path, root: Path) -> Shape | None:
    """Return the shape of a model from its config.json, else from the catalog; None if neither has it."""
    folders = [results / layout.model(name)]
    if model and isinstance(model.source, FolderModel):
        folders.append(root / model.source.folder)
    for folder in folders:
        if architecture := _read_config(folder / "config.json"):
            return Shape(architecture)
    if model and isinstance(model.source, MiniatureModel):
        return Shape(_miniature_architecture(model.source))
    return Shape(model.architecture) if model and model.architecture else None


def _read_config(file: Path) -> Architecture | None:
    """Return the architecture in a config.json; None if there is no such file, or the model family is unknown."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        config["dtype"] = config.get("dtype") or config.get("torch_dtype") or "float32"
        return Architecture.model_validate({key: config[key] for key in Architecture.model_fields if key in config})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _miniature_architecture(source: MiniatureModel) -> Architecture:
    settings = source.miniature
    return Architecture(
        model_type="llama",
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
