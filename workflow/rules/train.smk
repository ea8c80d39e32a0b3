# The training of each cell.
import math


def training(wildcards, attempt):
    return RESOURCES.train(cell_of(wildcards), attempt)


def launch_of(wildcards):
    return CATALOG.models[wildcards.model].launch_of(
        CONFIG.train_settings(cell_of(wildcards)).kind
    )


def train_program(wildcards, resources):
    return launcher(launch_of(wildcards).ranks, threads_of(wildcards))


def engine_flags(wildcards, resources):
    """Speed and memory of a training."""
    launch, settings = launch_of(wildcards), CONFIG.train_settings(cell_of(wildcards))
    engine = EngineSettings.model_validate(
        launch.model_dump(include=set(EngineSettings.model_fields))
    )
    if resources.halvings:
        # Of what a rank has of a step, where that is less than the limit: half the limit might still be more.
        most = min(engine.micro_batch, math.ceil(settings.batch_size / launch.ranks))
        smaller = {"micro_batch": halved(most, resources)}
        if engine.micro_tokens:
            smaller["micro_tokens"] = halved(engine.micro_tokens, resources)
        engine = engine.model_copy(update=smaller)
    flags = as_flags(engine)
    if SITE and SITE.scratch:
        flags += f" --scratch {shlex.quote(SITE.scratch)}"
    return flags


def cell_labels(wildcards):
    """The labels of a cell in Snakemake's report."""
    cell = cell_of(wildcards)
    labels = {"model": cell.model, "dataset": cell.dataset, "method": cell.method}
    return labels | {"seed": str(cell.seed)}


rule train:
    """Train one cell. Its identity is the digest of its config.json: Snakemake trains again when that changes, and only then."""
    input:
        model=at(layout.model("{model}")),
        data=at(layout.dataset("{dataset}")),
    output:
        model=directory(at(layout.tuned_model(CELL))),
        log=at(layout.train_log(CELL)),
        manifest=report(
            at(layout.manifest(CELL)),
            caption="../report/cell.rst",
            category="Trained cells",
            subcategory="{model}",
            labels=cell_labels,
        ),
    log:
        at(layout.log("train", CELL)),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **job_resources(training),
    params:
        config=at(layout.cell_config(CELL)),
        digest=training_digest,
        # For the report only; it asks for `resources`, so a change of the wording trains nothing again.
        settings=lambda wildcards, resources: as_flags(
            CONFIG.train_settings(cell_of(wildcards))
        ),
        out=at(layout.cell(CELL)),
        supervised=supervised("train", training_digest),
        python=train_program,
        engine=engine_flags,
    shell:
        "{params.supervised} --log {log} -- {params.python} "
        + script("train")
        + " --config {params.config} --digest {params.digest} --model {input.model} --data {input.data}"
        " --out {params.out} {params.engine} 2> {log}"
