"""Load and validate a preset; no job starts on an invalid one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from closerlook.config import checks, grid, sweep
from closerlook.config.benchmark_tasks import benchmark_tasks
from closerlook.config.benchmarks import Task, is_file
from closerlook.config.catalog import ApiModel, Catalog, ParaphrasedSource
from closerlook.config.cell import PLACEHOLDER, CellConfig, PromptTemplate
from closerlook.config.derived import ScoredSource, SimplifiedSource, ancestry
from closerlook.config.grid import Cell
from closerlook.config.judges import OpenAIJudge, OracleJudge
from closerlook.config.lineage import Lineage
from closerlook.config.lookup import WORKFLOW, find_file, find_files
from closerlook.config.markers import HumanMarker, JudgeMarker
from closerlook.config.preset import Comparison, Preset
from closerlook.config.problems import Problem, from_pydantic, path, refuse, refuse_invalid
from closerlook.config.settings import FileSource, FolderModel, GenerateSettings, TrainSettings
from closerlook.config.yaml_file import read_yaml
from closerlook.core.files import read_text

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Configuration:
    """A preset and its catalog, both checked; `root` is the project's root, which all paths in them are relative to."""

    preset: Preset
    catalog: Catalog
    root: Path
    folders: tuple[Path, ...] = (Path(),)
    """Where files are looked up, from `root`."""

    def find(self, name: str) -> str:
        """The path, from `root`, of a file that the workflow ships or the user has put in its place."""
        return find_file(name, self.folders, self.root)

    @cached_property
    def cells(self) -> dict[Cell, list[str]]:
        """Every cell with its evalsets."""
        return grid.expand(self.preset, self.catalog)

    @cached_property
    def cell_of(self) -> dict[str, Cell]:
        """Every cell by its name."""
        return {cell.name: cell for cell in self.cells}

    @cached_property
    def originals(self) -> dict[Cell, Cell]:
        """For a cell tuned on a simplified dataset, the cell tuned on the dataset itself."""
        return grid.originals(self.cells, self.catalog)

    @cached_property
    def traced(self) -> Lineage:
        """What is marked, traced and tested for its cause."""
        return Lineage(self.preset, self.catalog, self.cells)

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The benchmark tasks by name, with the paths of their files from `root`. Raises CloserlookError."""
        return benchmark_tasks(self.preset, self.root)

    def benchmarked(self, cell: Cell) -> list[str]:
        """The tasks that a cell is scored on."""
        return list(self.tasks) if self._reads_texts(cell) else []

    def retained(self, cell: Cell) -> list[str]:
        """The general texts on which it is measured what a cell kept of its base."""
        return self.preset.retention if self._reads_texts(cell) else []

    def _reads_texts(self, cell: Cell) -> bool:
        """Whether a cell's model reads texts outside of a template: not an API model, nor a control with a template of its own,
        which is the base model again, nor a cell that is only trained."""
        api = isinstance(self.catalog.models[cell.model].source, ApiModel)
        own_template = self.catalog.methods[cell.method].template
        return not api and not own_template and bool(self.cells[cell])

    def train_settings(self, cell: Cell) -> TrainSettings:
        """What decides the result of a cell's training. Raises ValueError for a control."""
        settings = self.catalog.methods[cell.method].train
        if settings is None:
            raise ValueError(f"{cell.name} is a control and trains nothing")
        return settings.model_copy(update={"seed": cell.seed})

    def template_name(self, cell: Cell) -> str:
        """The prompt template of a cell."""
        return self.catalog.methods[cell.method].template or self.preset.template

    @cached_property
    def templates(self) -> dict[str, PromptTemplate]:
        """The prompt templates that cells of the grid use, by name. Raises CloserlookError for one that cannot be used."""
        names = sorted({self.template_name(cell) for cell in self.cells})
        files = {name: self.catalog.templates[name].file for name in names}
        texts = {name: read_text(self.root / file, "prompt template") for name, file in files.items()}
        refuse(
            Problem(files[name], "prompt template", text, f"{PLACEHOLDER} exactly once")
            for name, text in texts.items()
            if text.count(PLACEHOLDER) != 1
        )
        return {name: PromptTemplate(name=name, text=text) for name, text in texts.items()}

    def cell_config(self, cell: Cell) -> CellConfig:
        """Everything that decides a cell's model and what it answers: what its config.json says."""
        return CellConfig(
            cell=cell.name,
            model=cell.model,
            dataset=cell.dataset or None,
            size=grid.dataset_and_size(cell.dataset)[1] if cell.dataset else None,
            method=cell.method,
            seed=cell.seed,
            template=self.templates[self.template_name(cell)],
            train=self.train_settings(cell) if cell.dataset else None,
            generate=self.generate_settings(cell),
        )

    def generate_settings(self, cell: Cell) -> GenerateSettings:
        """What decides how a cell answers: the preset's settings, with its template's stop strings."""
        stop = self.catalog.templates[self.template_name(cell)].stop
        return self.preset.generate.model_copy(update={"stop": [*self.preset.generate.stop, *stop]})


def load(
    config: Mapping[str, Any], file: str, root: Path, preset_folder: Path | None = None, workflow: Path = WORKFLOW
) -> Configuration:
    """Check a preset's mapping, its catalog with the preset's overrides, and the grid.

    file: where the mapping was read from, for messages. Files that the preset or the catalog name are looked up in
    `preset_folder` (the preset's own), then in `root` (the working directory), then in `workflow` (whose config/ has the shipped
    ones). Raises CloserlookError that names every problem at once.
    """
    folders = [*([preset_folder] if preset_folder else []), Path(), workflow]
    try:
        preset = Preset.model_validate(config)
    except ValidationError as error:
        refuse_invalid(file, error)
    written = read_yaml(root / find_file(preset.catalog, folders, root), named=preset.catalog)
    try:
        catalog = Catalog.model_validate(_override(written, preset.overrides))
    except ValidationError as error:
        refuse(_problem_in(file, preset, written, *problem) for problem in from_pydantic(error))
        raise
    # Validated again from what it holds, so that files that are defaults of settings are found too.
    catalog = Catalog.model_validate(find_files(catalog.model_dump(), folders, root))
    comparison = find_files(preset.comparison.model_dump(), folders, root)
    benchmarks = [find_file(entry, folders, root) if is_file(entry) else entry for entry in preset.benchmarks]
    preset = preset.model_copy(update={"comparison": Comparison.model_validate(comparison), "benchmarks": benchmarks})
    refuse(checks.unknown_names(preset, catalog, file))
    refuse(checks.impossible_settings(preset, catalog, file))
    refuse(sweep.problems(preset, catalog, file))
    preset, catalog = sweep.expand(preset, catalog)
    refuse(checks.duplicate_cells(preset, catalog, file))
    refuse(checks.impossible_tracing(preset, catalog, file))
    compares = {key: getattr(preset.comparison, key) for key in ("prompt_file", "labels")}
    absent = ((key, name) for key, name in compares.items() if name and not (root / name).is_file())
    places = ", ".join(dict.fromkeys(str((root / folder).resolve()) for folder in folders))
    refuse(Problem(file, f"comparison.{key}", name, f"a file that exists in {places}") for key, name in absent)
    if (preset.comparison.judges or preset.comparison.labels) and not grid.originals(
        grid.expand(preset, catalog), catalog
    ):
        expected = "a simplified dataset in the grid together with the dataset it is made of: same size, model, method and seed"
        refuse([Problem(file, "comparison", preset.comparison.model_dump(exclude_defaults=True), expected)])
    missing = ((where, name) for where, name in _files(preset, catalog) if not (root / name).exists())
    expected = f"a file or folder that exists in {places}"
    refuse(_problem_in(file, preset, written, where, name, expected) for where, name in missing)
    configuration = Configuration(preset, catalog, root, tuple(folders))
    _ = configuration.templates, configuration.tasks  # refuse templates and lists of tasks that cannot be used
    return configuration


def read(file: str, root: Path) -> Configuration:
    """`load` for a preset's file."""
    return load(read_yaml(root / file, named=file), file, root, Path(file).parent)


def _override(entry: Any, override: Any) -> Any:
    """The entry with single values replaced; a source is replaced as a unit, since halves of two sources make none."""
    if not isinstance(entry, dict) or not isinstance(override, dict):
        return override
    merged = dict(entry)
    for key, value in override.items():
        merged[key] = _override(entry[key], value) if key in entry and key != "source" else value
    return merged


def _problem_in(
    file: str, preset: Preset, written: dict[str, Any], where: Location, found: Any, expected: str
) -> Problem:
    """A problem of the merged catalog, attributed to the file (preset or catalog) that caused it."""
    overridden = _has(preset.overrides, where) or (not _has(written, where) and _has(preset.overrides, where[:-1]))
    if overridden:
        return Problem(file, path(("overrides", *where)), found, expected)
    return Problem(preset.catalog, path(where), found, expected)


def _has(value: Any, where: Location) -> bool:
    try:
        for part in where:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _files(preset: Preset, catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """The files that the grid needs, and where they are named; entries that the grid does not use may lack theirs."""
    for model in sorted({model for block in preset.grid for model in block.models}):
        entry = catalog.models[model]
        if isinstance(entry.source, FolderModel):
            yield ("models", model, "source", "folder"), entry.source.folder
        for kind, launch in entry.launch.items():
            if launch.deepspeed:
                yield ("models", model, "launch", kind, "deepspeed"), launch.deepspeed
    datasets = {written.partition("@")[0] for block in preset.grid for written in block.datasets}
    for name in sorted({origin for dataset in datasets for origin in ancestry(dataset, catalog.datasets)}):
        source = catalog.datasets[name].source
        if isinstance(source, FileSource):
            yield ("datasets", name, "source", "file"), source.file
        if isinstance(source, ScoredSource) and source.scores:
            yield ("datasets", name, "source", "scores"), source.scores
        if isinstance(source, SimplifiedSource):
            yield ("datasets", name, "source", "simplify", "prompt_file"), source.simplify.prompt_file
    for name in sorted({name for block in preset.grid for name in block.evalsets}):
        asked = catalog.evalsets[name].source
        if isinstance(asked, FileSource):
            yield ("evalsets", name, "source", "file"), asked.file
        if isinstance(asked, ParaphrasedSource) and isinstance(catalog.judges[asked.paraphrase.by], OpenAIJudge):
            yield ("evalsets", name, "source", "paraphrase", "prompt_file"), asked.paraphrase.prompt_file
    for name in preset.retention:
        source_of_text = catalog.texts[name].source
        if isinstance(source_of_text, FileSource):
            yield ("texts", name, "source", "file"), source_of_text.file
    methods = {method for block in preset.grid for method in block.methods}
    for name in sorted({catalog.methods[method].template or preset.template for method in methods}):
        yield ("templates", name, "file"), catalog.templates[name].file
    for name in preset.judges:
        if not isinstance(judge := catalog.judges[name], OracleJudge):
            yield ("judges", name, "prompt_file"), judge.prompt_file
    for name in preset.all_markers:
        marker = catalog.markers[name]
        if isinstance(marker, JudgeMarker):
            yield ("markers", name, "prompt_file"), marker.prompt_file
        if isinstance(marker, HumanMarker):
            yield ("markers", name, "human"), marker.human
