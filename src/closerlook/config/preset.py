"""A preset: which cells of the catalog are trained, answered and compared."""

from typing import Annotated, Any

from pydantic import Field

from closerlook.config.markers import Tracing
from closerlook.config.settings import GenerateSettings, Settings

LABELS = "labels"
"""The name of the people who compared responses, where a judge's name is expected otherwise."""


class Sweep(Settings):
    """Methods at several learning rates, each compared on instances that none of them is trained on."""

    learning_rate: dict[str, Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]] = Field(
        min_length=1,
        description="for methods of the block, peak learning rates: each is a method of its own, such as lft-lr5e-4, in place of "
        "the method",
    )
    held_out: int = Field(
        gt=0,
        description="the last instances of each subset, on which no rate is trained: the best rate has the least loss on them",
    )


class Block(Settings):
    """Part of the grid: every model x dataset x method x seed, answered on every evalset. The grid is the union of its blocks."""

    models: list[str] = Field(min_length=1, description="names from the catalog")
    datasets: list[str] = Field([], description="names from the catalog, with @size for a subset: alpaca, alpaca@1k")
    methods: list[str] = Field(min_length=1, description="names from the catalog; controls (base, icl) take no dataset")
    seeds: list[int] = Field([0], min_length=1, description="one cell per seed; seed 0 is the one without a suffix")
    redraw: bool = Field(
        False,
        description="whether each seed also draws its own subset of a dataset with @size: alpaca@1k-d2 for seed 2",
    )
    evalsets: list[str] = Field(
        [], description="names from the catalog; none for cells that are only trained, for `tracing.retrained`"
    )
    markers: list[str] = Field([], description="further markers of spans in these responses, after the preset's")
    sweep: Sweep | None = Field(None, description="methods of the block that are trained at several learning rates")


class Comparison(Settings):
    """Who decides how a cell tuned on a simplified dataset compares with the one tuned on the dataset itself (Figure 6)."""

    judges: list[str] = Field(
        [], description="names from the catalog: each sees every pair of responses in both orders"
    )
    prompt_file: str = Field(
        "config/prompts/compare.txt",
        description="text with ${instruction}, ${response_a} and ${response_b} that asks for one of the classes",
    )
    labels: str | None = Field(
        None,
        description="CSV of classes that people decided, with the columns cell (tuned on the simplified dataset), evalset, id, "
        "class; maybe labeller, where several people decided the same pair",
    )

    @property
    def comparers(self) -> list[str]:
        """The judges, and LABELS where people decided too."""
        return [*self.judges, *([LABELS] if self.labels else [])]


class Preset(Settings):
    """A file under config/ that `snakemake --configfile` takes."""

    preset: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="its name: results are stored in results/<preset>/"
    )
    catalog: str = Field("config/catalog.yaml", description="the catalog that names are looked up in")
    template: str = Field(description="prompt template of every cell, so that one context serves base and tuned model")
    grid: list[Block] = Field(min_length=1, description="the blocks whose union is the grid")
    subset_seed: int = Field(0, ge=0, description="orders the instances of every dataset; a subset is the first rows")
    generate: GenerateSettings = Field(GenerateSettings(), description="how cells answer")
    judges: list[str] = Field([], description="names from the catalog: who scores every response")
    paper_claims: bool = Field(
        False, description="whether the table claims also decides the claims from the numbers that the paper prints"
    )
    judge_budget: float | None = Field(
        None, ge=0, description="most that this preset's judging may cost in all, in the currency of the judges' prices"
    )
    benchmarks: list[str] = Field(
        [],
        description="tasks on which base and tuned models are scored: names of lm-evaluation-harness, or files that list tasks; "
        "miniature: the tasks of its world",
    )
    retention: list[str] = Field(
        [], description="names of texts from the catalog: how likely base and tuned models find them"
    )
    comparison: Comparison = Field(Comparison(), description="the pairs of the simplification study (section 4)")
    markers: list[str] = Field([], description="names from the catalog: who marks hallucinated spans in every response")
    tracing: Tracing | None = Field(
        None, description="trace spans and shifted words to the instruction data; none: not"
    )
    overrides: dict[str, Any] = Field({}, description="in the catalog's shape: replaces single values of its entries")

    @property
    def all_markers(self) -> list[str]:
        """Who marks spans in any response."""
        return list(dict.fromkeys([*self.markers, *(name for block in self.grid for name in block.markers)]))
