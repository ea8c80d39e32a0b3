"""Datasets derived from a dataset of the catalog: simplified, longest first, filtered by a score, or ablated."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from pydantic import Field

from closerlook.config.settings import Settings


class SimplifySettings(Settings):
    """How responses are simplified (section 4, LIMA-Simple)."""

    by: str = Field(
        description="name of a judge of the catalog, whose endpoint writes the shorter responses; an oracle shortens the "
        "miniature's by rules"
    )
    prompt_file: str = Field(
        "config/prompts/simplify.txt", description="text with ${instruction} and ${response} (string.Template)"
    )
    brief: int = Field(100, ge=0, description="responses of at most this many characters are not changed")
    max_tokens: int = Field(4096, gt=0, description="longest simplified response, in tokens")


class SimplifiedSource(Settings):
    """A dataset with simplified responses. Its instances keep their ids and order, so that both datasets can be paired."""

    of: str = Field(description="name of the dataset that it is derived from")
    simplify: SimplifySettings = Field(description="how responses are simplified")


class LongestSource(Settings):
    """A dataset sorted by the length of its responses in characters, longest first: @1k of it is the 1,000 longest."""

    of: str = Field(description="name of the dataset that it is derived from")
    longest: Literal[True] = Field(description="always true")


class ScoredSource(Settings):
    """The instances of a dataset whose score is high enough (AlpaGasus)."""

    of: str = Field(description="name of the dataset that it is derived from")
    minimum_score: float = Field(
        description="instances with at least this score are kept; instances without a score are dropped and counted"
    )
    column: str = Field(
        "score", description="column with the score, of the file `scores` or else of the dataset's source"
    )
    scores: str | None = Field(
        None,
        description="file with the columns id and `column`, such as a judge's verdicts; null if the source has the scores",
    )
    aspect: str | None = Field(None, description="aspect that counts, if `scores` has verdicts on several")


Arm = Literal["traced", "half", "similar", "other"]
ARMS: tuple[Arm, ...] = get_args(Arm)
"""The arms of the causal test, by what is left out."""


class AblationSettings(Settings):
    """Which instances are left out: those that spans of a cell were traced to, half of them, or as many and as long others."""

    cell: str = Field(description="cell tuned on the dataset, whose traced spans decide: model/dataset@size/run")
    evalset: str = Field(description="evalset whose responses contain the spans")
    marker: str = Field(description="marker of the spans")
    take: Arm = Field(
        description="traced: the instances that the spans were traced to; half: a random half of those of each span; similar: as "
        "many others, as similar to instruction and response and as long; other: as many that other spans were traced to, as long"
    )
    ranker: str = Field("fused", description="ranker whose candidates count as traced")
    spans: int = Field(20, gt=0, description="number of spans sampled; the sample is the same for every `take`")
    candidates: int = Field(
        10,
        gt=0,
        description="most instances left out per span, at most tracing.top; candidates that stay can bring the span back",
    )
    seed: int = Field(0, ge=0, description="seed of the sample of spans, and of the halves")

    @property
    def sample(self) -> str:
        """What decides the sample of spans and their sources, for people: the arms of one test agree in it."""
        return f"{self.spans} spans, {self.candidates} first of {self.ranker}, seed {self.seed}"


class AblatedSource(Settings):
    """A dataset without some instances, to test whether spans that were traced to them disappear (the causal test)."""

    of: str = Field(description="name of the dataset that it is derived from")
    without: AblationSettings = Field(description="which instances are left out")


DerivedSource = SimplifiedSource | LongestSource | ScoredSource | AblatedSource
DERIVED_SOURCES: Mapping[str, type[DerivedSource]] = {
    "simplify": SimplifiedSource,
    "longest": LongestSource,
    "minimum_score": ScoredSource,
    "without": AblatedSource,
}
"""Each kind of derived source by the key that identifies it."""


def parent_of(source: Any) -> str | None:
    """Name of the dataset that a source is derived from; None if it is not derived."""
    return source.of if isinstance(source, DerivedSource) else None


def ancestry(name: str, datasets: Mapping[str, Any]) -> Iterator[str]:
    """A dataset and its ancestors, nearest first. Stops before a name that is unknown or repeated."""
    seen: set[str] = set()
    while name in datasets and name not in seen:
        yield name
        seen.add(name)
        name = parent_of(datasets[name].source) or ""
