# The checked configuration, and the helper functions of all rules. Each job parses this file, so nothing here may import torch.
import os
import re
import shlex
from pathlib import Path

from closerlook.config import load as configuration
from closerlook.config.catalog import (
    ApiModel,
    MiniatureModel,
    MiniatureSource,
    ParaphrasedSource,
)
from closerlook.config.derived import (
    DerivedSource,
    ScoredSource,
    AblatedSource,
    ancestry,
)
from closerlook.config.grid import NO_DATASET, dataset_and_size
from closerlook.config.settings import FileSource
from closerlook.core.errors import CloserlookError
from closerlook.report.figures.registry import FIGURES
from closerlook.core.files import write_csv
from closerlook.cluster.status_text import lines as status_lines
from closerlook.config.stages import stages
from closerlook.cluster.status import status
from closerlook.core.scripts import as_flags, prefer_this_python
from closerlook.report.tables.registry import TABLES

prefer_this_python()

CONFIGFILES = [os.path.relpath(file) for file in workflow.overwrite_configfiles] or [
    "config/mini.yaml"
]
try:
    CONFIG = configuration.load(config, " + ".join(CONFIGFILES), root=Path.cwd())
except CloserlookError as error:
    raise WorkflowError(str(error)) from None

CATALOG = CONFIG.catalog
PRESET = CONFIG.preset.preset
TRAINED = [cell for cell in CONFIG.cells if cell.dataset]
DATASETS = sorted({cell.dataset for cell in TRAINED})
DERIVED_DATASETS = [
    name
    for name, dataset in CATALOG.datasets.items()
    if isinstance(dataset.source, DerivedSource)
]
ABLATED_DATASETS = [
    name
    for name, dataset in CATALOG.datasets.items()
    if isinstance(dataset.source, AblatedSource)
]
REWORDED_EVALSETS = [
    name
    for name, evalset in CATALOG.evalsets.items()
    if isinstance(evalset.source, ParaphrasedSource)
]
MINIATURE_STYLES = ["brief", "verbose", "domain", "mixture"]
EVALSETS = sorted(
    {evalset for evalsets in CONFIG.cells.values() for evalset in evalsets}
)
MODELS = sorted({cell.model for cell in CONFIG.cells})
ENDPOINT_MODELS = [
    name for name in MODELS if isinstance(CATALOG.models[name].source, ApiModel)
]
MINIATURE_MODELS = [
    name
    for name, model in CATALOG.models.items()
    if isinstance(model.source, MiniatureModel)
]


def one_of(names):
    """A wildcard constraint that matches these names only; nothing, where there are none."""
    return "|".join(map(re.escape, sorted(set(names)))) or "(?!)"


wildcard_constraints:
    preset=one_of([PRESET]),
    model=one_of(MODELS),
    dataset=one_of([*DATASETS, NO_DATASET]),
    name=one_of(CATALOG.datasets),
    run=one_of(cell.run for cell in CONFIG.cells),
    table=one_of(TABLES),
    figure=one_of(FIGURES),
    evalset=one_of(EVALSETS),


def cell_of(wildcards):
    return CONFIG.cell_of[f"{wildcards.model}/{wildcards.dataset}/{wildcards.run}"]


def json_flag(source):
    return shlex.quote(source.model_dump_json(exclude_none=True))


def miniature_folder(world):
    """Where a world of the miniature lies; the first is the one that the base model knows and evalsets ask about."""
    return f"results/{PRESET}/miniature" + (f"-{world}" if world else "")


def world_settings(wildcards):
    settings = CATALOG.miniature
    world = int(wildcards.world.removeprefix("-") or 0)
    return as_flags(settings.model_copy(update={"seed": settings.seed + world}))


def source_of(entry, kind):
    """A dataset's or evalset's source as its script takes it: the miniature's data are files that a rule makes."""
    source = entry.source
    if isinstance(source, MiniatureSource):
        folder = miniature_folder(source.world)
        return FileSource(file=f"{folder}/{kind}{source.miniature}.jsonl")
    return source


def file_of(source):
    """The local file or folder that a source is read from, which a job must wait for; none for a hub's."""
    return getattr(source, "file", None) or getattr(source, "folder", None) or []


def dataset_source(wildcards):
    return source_of(CATALOG.datasets[wildcards.name], "datasets/")


def derivation(wildcards):
    return CATALOG.datasets[wildcards.name].source


def scored_source(wildcards):
    """Where the rows with the scores of a filtered dataset come from; none where a file of its own holds them."""
    source = derivation(wildcards)
    if not isinstance(source, ScoredSource) or source.scores:
        return None
    *_, root = ancestry(wildcards.name, CATALOG.datasets)
    return source_of(CATALOG.datasets[root], "datasets/")


def evalset_source(wildcards):
    return source_of(CATALOG.evalsets[wildcards.evalset], "")


def evalset_rows(wildcards):
    rows = CATALOG.evalsets[wildcards.evalset].rows
    return f"--rows {rows[0]} {rows[1]}" if rows else ""


def template_file(wildcards):
    return CATALOG.templates[CONFIG.template_name(cell_of(wildcards))].file


def threads_of(wildcards):
    return CATALOG.models[wildcards.model].threads


def tuned_model(wildcards):
    """The tuned model that a cell answers with; a control answers with its base model alone."""
    if wildcards.dataset == NO_DATASET:
        return []
    return f"results/{wildcards.preset}/cells/{wildcards.model}/{wildcards.dataset}/{wildcards.run}/model"


def table_inputs(wildcards):
    return [
        f"results/{PRESET}/{file}"
        for file in TABLES[wildcards.table].inputs(CONFIG.rows)
    ]


def figure_inputs(wildcards):
    return [f"results/{PRESET}/{file}" for file in FIGURES[wildcards.figure].inputs]


def labels(wildcards):
    """What a result stands under in Snakemake's report."""
    what = FIGURES.get(wildcards.get("figure")) or TABLES[wildcards.table]
    return {"shows": what.title}


def cell_labels(wildcards):
    """The same for what is of one cell."""
    cell = cell_of(wildcards)
    named = {"model": cell.model, "dataset": cell.dataset, "method": cell.method}
    return named | {"seed": str(cell.seed)}


# Only the miniature's truth is known.
SHOWN = [
    name
    for name, table in TABLES.items()
    if table.fits(CONFIG.rows)
    and (not table.truth or any(CATALOG.knows_truth(evalset) for evalset in EVALSETS))
]
TABLE_FILES = [f"results/{PRESET}/tables/{name}.csv" for name in SHOWN]
FIGURE_FILES = [
    f"results/{PRESET}/figures/{name}.svg"
    for name, figure in FIGURES.items()
    if set(figure.tables) <= set(SHOWN)
]
PAGE_FILE = f"results/{PRESET}/report/index.html"
MANIFESTS = [f"results/{PRESET}/cells/{cell.name}/manifest.json" for cell in TRAINED]
CELL_FILES = [
    f"results/{PRESET}/{stage.file}"
    for cell in CONFIG.cells
    for stage in stages(CONFIG, cell)
]

PARTIAL_TABLES = f"""
test -e results/{PRESET}/grid.csv || exit 0
for table in {" ".join(SHOWN)}; do
    python workflow/scripts/table.py $table --results results/{PRESET} --out results/{PRESET}/tables/$table.csv \
        --configfile {shlex.join(CONFIGFILES)} 2> /dev/null || echo "$table: could not be drawn"
done
python workflow/scripts/page.py --results results/{PRESET} --out results/{PRESET}/report 2> /dev/null || echo "the page could not be made"
echo "Partial tables are in results/{PRESET}/tables/: each .md names the cells that are missing and the command that fills them."
"""
