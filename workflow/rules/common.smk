# What all rules share: the checked configuration, where files and programs are, which cell a job is about.
# Each job parses this file, so nothing here may import torch.
import os
import re
import shlex
from pathlib import Path

from closerlook.config import load as configuration
from closerlook.config.benchmark_tasks import harness_tasks
from closerlook.config.flags import config_words, run_words
from closerlook.config.grid import NO_DATASET
from closerlook.config.rows import grid_rows
from closerlook.config.source_files import SourceFiles
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import as_flags, prefer_this_python
from closerlook.report.figures.registry import FIGURES
from closerlook.report.tables.registry import TABLES

prefer_this_python()


RULES = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))


def source_file(path):
    """A file of this workflow, from the folder of the rules; where the workflow is remote, in Snakemake's cache."""
    local = Path(os.path.normpath(RULES / path))
    return local if local.is_file() else Path(workflow.source_path(path))


CONFIGFILES = [os.path.relpath(file) for file in workflow.configfiles]
CONFIG_WORDS = config_words(
    [os.path.relpath(file) for file in workflow.overwrite_configfiles],
    workflow.config_settings.config,
)
"""The flags that this configuration was given with: printed commands repeat them."""
try:
    CONFIG = configuration.load(
        config,
        " + ".join(CONFIGFILES) or "the configuration",
        root=Path.cwd(),
        preset_folder=Path(CONFIGFILES[0]).parent if CONFIGFILES else None,
        workflow=source_file("../../config/catalog.yaml").parents[1],
    )
except CloserlookError as error:
    raise WorkflowError(str(error)) from None

ROWS = grid_rows(CONFIG)
GRID = [row.model_dump() for row in ROWS]
"""The rows that tables and the page are made of."""
CATALOG = CONFIG.catalog
PRESET = CONFIG.preset.preset
RESULTS = f"results/{PRESET}"
SOURCES = SourceFiles(CATALOG, RESULTS)
HARNESS_TASKS = harness_tasks(CONFIG.tasks)
TRAINED = [cell for cell in CONFIG.cells if cell.dataset]
DATASETS = sorted({cell.dataset for cell in TRAINED})
EVALSETS = sorted({name for evalsets in CONFIG.cells.values() for name in evalsets})
MODELS = sorted({cell.model for cell in CONFIG.cells})

CELL, EVALSET = "{model}/{dataset}/{run}", "{evalset}"
"""A cell and its evalset as wildcards."""
ANSWER_CACHE = f"results/{layout.ANSWER_CACHE}"
"""Every answer of an API model, so that none is paid twice."""


def at(path):
    """A path of core.layout, from the working directory."""
    return f"{RESULTS}/{path}"


def script(name):
    """The program of a rule, wherever this workflow is installed; for the shell, whose wildcards are in braces."""
    path = source_file(f"../scripts/{name}.py")
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


def python(name):
    """The program of a rule, run by the Python of its environment."""
    return f"python {script(name)}"


def one_of(names):
    """A wildcard constraint that matches these names only; nothing, where there are none."""
    return "|".join(map(re.escape, sorted(set(names)))) or "(?!)"


wildcard_constraints:
    model=one_of(MODELS),
    dataset=one_of([*DATASETS, NO_DATASET]),
    name=one_of(CATALOG.datasets),
    run=one_of(cell.run for cell in CONFIG.cells),
    table=one_of(TABLES),
    figure=one_of(FIGURES),
    evalset=one_of(EVALSETS),


def cell_of(wildcards):
    return CONFIG.cell_of[f"{wildcards.model}/{wildcards.dataset}/{wildcards.run}"]


def training_digest(wildcards):
    """The identity of a cell's model."""
    return CONFIG.cell_config(cell_of(wildcards)).training_digest


def generation_digest(wildcards):
    """The identity of a cell's responses, given its model."""
    return CONFIG.cell_config(cell_of(wildcards)).generation_digest


def tuned_model(wildcards):
    """The tuned model that a cell answers with; a control answers with its base model alone."""
    if wildcards.dataset == NO_DATASET:
        return []
    return at(layout.tuned_model(cell_of(wildcards).name))


def file_of(source):
    """The local file or folder that a source is read from, which a job must wait for; none for a hub's."""
    return getattr(source, "file", None) or getattr(source, "folder", None) or []


def write_configs():
    """Write the config.json of every cell, and every source. They are no outputs of a rule: where an input is made again, Snakemake
    does not look for other reasons to run the job that reads it, and would miss that the job's params have changed.
    """
    for cell in CONFIG.cells:
        CONFIG.cell_config(cell).write(Path(at(layout.cell_config(cell.name))))
    for file, source in SOURCES.files():
        source.write(file)
    for name, task in HARNESS_TASKS.items():
        task.write(Path(at(layout.benchmark_source(name))))


if workflow.is_main_process and not workflow.modifier.is_main_snakefile():
    write_configs()  # Snakemake runs onstart of the main Snakefile only, and this one is used as a module
