# Instruction datasets and evalsets, from their sources; the miniature's are made here.
from closerlook.config.benchmarks import MINIATURE_TASKS
from closerlook.config.catalog import ParaphrasedSource
from closerlook.config.derived import DerivedSource
from closerlook.config.grid import dataset_and_size, draw_of

MINIATURE_DATASETS = ["brief", "verbose", "domain", "mixture", "planted", "zipf"]
DERIVED_DATASETS = [
    name
    for name, dataset in CATALOG.datasets.items()
    if isinstance(dataset.source, DerivedSource)
]
PARAPHRASED_EVALSETS = [
    name
    for name, evalset in CATALOG.evalsets.items()
    if isinstance(evalset.source, ParaphrasedSource)
]


def world_settings(wildcards):
    settings = CATALOG.miniature
    world = int(wildcards.world.removeprefix("-") or 0)
    return as_flags(settings.model_copy(update={"seed": settings.seed + world}))


def evalset_rows(wildcards):
    rows = CATALOG.evalsets[wildcards.evalset].rows
    return f"--rows {rows[0]} {rows[1]}" if rows else ""


def redrawn(wildcards):
    draw = draw_of(f"{wildcards.name}@{wildcards.size}")
    return f"--seed {CONFIG.preset.subset_seed + draw}" if draw else ""


localrules:
    miniature,
    dataset,
    subset,
    evalset,


rule miniature:
    """A world whose truth is known, and everything rendered from it. Worlds but the first have other facts: `world` is -1, -2, ..."""
    output:
        at(layout.world("{world}")),
        at(layout.corpus("{world}")),
        at(layout.miniature_evalset("questions", "{world}")),
        at(layout.miniature_evalset("planted", "{world}")),
        at(layout.tasks("{world}")),
        [at(f"{layout.miniature('{world}')}/{task.file}") for task in MINIATURE_TASKS],
        at(layout.miniature_text("corpus", "{world}")),
        [at(layout.miniature_dataset(name, "{world}")) for name in MINIATURE_DATASETS],
    log:
        at(layout.log("miniature{world}")),
    wildcard_constraints:
        world="(-[1-9][0-9]*)?",
    conda:
        "../../envs/closerlook.yaml"
    params:
        out=lambda wildcards, output: Path(output[0]).parent,
        settings=world_settings,
    shell:
        python("make_miniature") + " --out {params.out} {params.settings} 2> {log}"


rule dataset:
    """One dataset, cleaned, in the order that makes its subsets nested. Runs where the network is."""
    input:
        lambda wildcards: file_of(SOURCES.dataset(wildcards.name)),
    output:
        data=at(layout.dataset("{name}")),
        report=at(layout.dataset_report("{name}")),
    log:
        at(layout.log("data", "{name}")),
    wildcard_constraints:
        name=one_of(set(CATALOG.datasets) - set(DERIVED_DATASETS)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=at(layout.dataset_source("{name}")),
        identity=lambda wildcards: SOURCES.dataset(wildcards.name).model_dump(),
        format=lambda wildcards: CATALOG.datasets[wildcards.name].format,
        seed=CONFIG.preset.subset_seed,
    shell:
        python("prepare_dataset")
        + " --name {wildcards.name} --source {params.source} --format {params.format} --seed {params.seed}"
        " --out {output.data} --report {output.report} 2> {log}"


rule subset:
    """The first instances of a dataset: a smaller subset is part of every larger one of the same draw."""
    input:
        at(layout.dataset("{name}")),
    output:
        at(layout.dataset("{name}@{size}")),
    log:
        at(layout.log("data", "{name}@{size}")),
    conda:
        "../../envs/closerlook.yaml"
    params:
        size=lambda wildcards: dataset_and_size(f"{wildcards.name}@{wildcards.size}")[1],
        redrawn=redrawn,
    shell:
        python("subset_dataset")
        + " --dataset {input} --size {params.size} {params.redrawn} --out {output} 2> {log}"


rule evalset:
    """The instructions that cells answer. Runs where the network is."""
    input:
        lambda wildcards: file_of(SOURCES.evalset(wildcards.evalset)),
    output:
        data=at(layout.evalset(EVALSET)),
        report=at(layout.evalset_report(EVALSET)),
    log:
        at(layout.log("evalsets", EVALSET)),
    wildcard_constraints:
        evalset=one_of(set(EVALSETS) - set(PARAPHRASED_EVALSETS)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=at(layout.evalset_source(EVALSET)),
        identity=lambda wildcards: SOURCES.evalset(wildcards.evalset).model_dump(),
        rows=evalset_rows,
    shell:
        python("prepare_evalset")
        + " --name {wildcards.evalset} --source {params.source} {params.rows}"
        " --out {output.data} --report {output.report} 2> {log}"


rule contamination:
    """Evaluation instructions that the instruction-tuning data contain too."""
    input:
        dataset=at(layout.dataset("{name}")),
        evalset=at(layout.evalset(EVALSET)),
    output:
        at(layout.contamination("{name}", EVALSET)),
    log:
        at(layout.log("contamination", "{name}", EVALSET)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(cpu_job(hours=1, gigabytes=8)),
    shell:
        python("find_contamination")
        + " --dataset {input.dataset} --evalset {input.evalset} --out {output} 2> {log}"
