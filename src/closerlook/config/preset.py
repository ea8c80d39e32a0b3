"""A preset: which cells of the catalog are trained, answered and compared."""

from typing import Any

from pydantic import Field

from closerlook.config.settings import GenerateSettings, Settings


class Block(Settings):
    """Part of the grid: every model x dataset x method x seed, answered on every evalset. The grid is the union of its blocks."""

    models: list[str] = Field(min_length=1, description="names from the catalog")
    datasets: list[str] = Field([], description="names from the catalog, with @size for a subset: alpaca, alpaca@1k")
    methods: list[str] = Field(min_length=1, description="names from the catalog; controls (base, icl) take no dataset")
    seeds: list[int] = Field([0], min_length=1, description="one cell per seed; seed 0 is the one without a suffix")
    evalsets: list[str] = Field(min_length=1, description="names from the catalog")


class Preset(Settings):
    """A file under config/ that `snakemake --configfile` takes."""

    preset: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="its name: results lie in results/<preset>/"
    )
    catalog: str = Field("config/catalog.yaml", description="the catalog that names are looked up in")
    template: str = Field(description="prompt template of every cell, so that one context serves base and tuned model")
    grid: list[Block] = Field(min_length=1, description="the blocks whose union is the grid")
    subset_seed: int = Field(0, ge=0, description="orders the instances of every dataset; a subset is the first rows")
    generate: GenerateSettings = Field(GenerateSettings(), description="how cells answer")
    overrides: dict[str, Any] = Field({}, description="in the catalog's shape: replaces single values of its entries")
