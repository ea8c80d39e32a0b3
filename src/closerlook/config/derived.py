"""Datasets made from a dataset of the catalog: simplified, the longest first, filtered by a score, or some left out."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from closerlook.config.settings import Settings, by_key
from closerlook.core.errors import CloserlookError


class SimplifySettings(Settings):
    """How responses are simplified (section 4, LIMA-Simple)."""

    by: str = Field(
        description="name of a judge of the catalog, whose endpoint or model writes the shorter responses; an oracle cuts the "
        "miniature's by rules"
    )
    prompt_file: str = Field(
        "config/prompts/simplify.txt", description="text that holds ${instruction} and ${response} (string.Template)"
    )
    brief: int = Field(100, ge=0, description="responses of at most so many characters are left as they are")
    max_tokens: int = Field(4096, gt=0, description="longest response that may be written, in tokens")


class SimplifiedSource(Settings):
    """A dataset with its responses simplified; its instances keep their ids and order, so that those of two datasets pair."""

    of: str = Field(description="name of the dataset it is made from")
    simplify: SimplifySettings = Field(description="how")


class LongestSource(Settings):
    """A dataset with its longest responses (in characters) first: @1k of it is the 1,000 longest."""

    of: str = Field(description="name of the dataset it is made from")
    longest: Literal[True] = Field(description="true")


class ScoredSource(Settings):
    """The instances of a dataset whose score is high enough (AlpaGasus)."""

    of: str = Field(description="name of the dataset it is made from")
    minimum_score: float = Field(
        description="lowest score that is kept; instances without a score are dropped and counted"
    )
    column: str = Field(
        "score", description="column that holds the score: of `scores`, or else of the dataset's own source"
    )
    scores: str | None = Field(
        None,
        description="file with the columns id (an instance's) and `column`, such as a judge's verdicts; none: the source",
    )
    aspect: str | None = Field(
        None, description="where `scores` holds verdicts on several aspects: the one that counts"
    )


class AblationSettings(Settings):
    """Which instances are left out: those that spans of a cell were traced to, or as many others that are as similar."""

    cell: str = Field(description="cell whose traced spans decide, tuned on the dataset: model/dataset@size/run")
    evalset: str = Field(description="evalset whose responses hold the spans")
    marker: str = Field(description="marker of the spans")
    take: Literal["traced", "similar"] = Field(
        description="traced: what the spans were traced to; similar: as many untraced instances, matched in similarity to the "
        "instruction, for control"
    )
    ranker: str = Field("fused", description="ranker whose candidates count as traced")
    spans: int = Field(20, gt=0, description="spans sampled; one sample for both takes")
    candidates: int = Field(
        10,
        gt=0,
        description="instances left out per span, at most; tracing.top must be as large, and those that stay can bring it back",
    )
    seed: int = Field(0, ge=0, description="draws the sample")


class AblatedSource(Settings):
    """A dataset without some instances, to see whether what was traced to them goes (the causal test)."""

    of: str = Field(description="name of the dataset it is made from")
    without: AblationSettings = Field(description="which instances are left out")


DERIVED = ("simplify", "longest", "minimum_score", "without")
"""The keys that tell these sources apart."""

DerivedSource = SimplifiedSource | LongestSource | ScoredSource | AblatedSource


def parse(text: str) -> DerivedSource:
    """Such a source as JSON. Raises CloserlookError that names the key, what was found and what was expected."""
    kinds = (
        Annotated[SimplifiedSource, Tag("simplify")]
        | Annotated[LongestSource, Tag("longest")]
        | Annotated[ScoredSource, Tag("minimum_score")]
        | Annotated[AblatedSource, Tag("without")]
    )
    try:
        return TypeAdapter(Annotated[kinds, Discriminator(by_key(*DERIVED))]).validate_json(text)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}, found {e['input']!r}" for e in error.errors()]
        raise CloserlookError(f"transform {text!r}: {'; '.join(problems).removeprefix(': ')}") from None


def of(source: Any) -> str | None:
    """Name of the dataset that a source makes another of; None for a source that stands by itself."""
    return source.of if isinstance(source, DerivedSource) else None


def ancestry(name: str, datasets: Mapping[str, Any]) -> Iterator[str]:
    """A dataset and, nearest first, those that it is made from. Ends before a name that is unknown or came already."""
    seen: set[str] = set()
    while name in datasets and name not in seen:
        yield name
        seen.add(name)
        name = of(datasets[name].source) or ""
