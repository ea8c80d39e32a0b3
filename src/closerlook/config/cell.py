"""The configuration of one cell: cells/<cell>/config.json, written before anything runs."""

from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from closerlook.config.problems import refuse_invalid
from closerlook.config.settings import GenerateSettings, Settings, TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text
from closerlook.core.fingerprint import fingerprint

PLACEHOLDER = "{instruction}"


class PromptTemplate(Settings):
    """The prompt template of a cell, with its text: a cell depends on the text, not on when its file was touched."""

    name: str = Field("", description="its name in the catalog")
    text: str = Field(description="the prompt, with {instruction} where the instruction goes")

    @field_validator("text")
    @classmethod
    def _one_place(cls, text: str) -> str:
        if (count := text.count(PLACEHOLDER)) != 1:
            raise ValueError(f"{PLACEHOLDER} exactly once, not {count} times")
        return text


class CellConfig(Settings):
    """Everything that decides what a cell's model is and what it answers. How fast it runs (EngineSettings) is not in it."""

    cell: str = Field("", description="name of the cell")
    model: str = Field("", description="base model")
    dataset: str | None = Field(None, description="instruction dataset, with its size; null for a control")
    size: int | None = Field(None, description="instances of the subset; null for the whole dataset and for a control")
    method: str = Field("", description="tuning method or control")
    seed: int = Field(0, ge=0, description="seed of the training")
    template: PromptTemplate = Field(description="prompt template")
    train: TrainSettings | None = Field(None, description="training settings; null for a control")
    generate: GenerateSettings = Field(GenerateSettings(), description="how the cell answers")

    @cached_property
    def training_digest(self) -> str:
        """The identity of the trained model. How the cell answers is left out: more new tokens train nothing again."""
        return fingerprint(**self.model_dump(mode="json", exclude={"generate"}))

    @cached_property
    def generation_digest(self) -> str:
        """The identity of the responses, given the model."""
        return fingerprint(**self.model_dump(mode="json", exclude={"train"}))


def read_cell_config(file: Path, training_digest: str | None = None) -> CellConfig:
    """Read a cell's config.json. Raises CloserlookError that names each key that is wrong.

    training_digest: refuse a file that says something else than what a job was submitted for.
    """
    try:
        config = CellConfig.model_validate_json(read_text(file, "cell configuration"))
    except ValidationError as error:
        refuse_invalid(file, error)
    if training_digest not in (None, config.training_digest):
        raise CloserlookError(
            f"{file}: found a configuration with the digest {config.training_digest[:12]}, expected {training_digest[:12]}: it "
            "changed after this job was submitted; start snakemake again"
        )
    return config
