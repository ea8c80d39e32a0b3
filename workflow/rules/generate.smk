# Responses of each cell to its evalsets.
from closerlook.config.catalog import ApiModel
from closerlook.judge.command import llm_flags, pace_flags

API_MODELS = [
    name for name in MODELS if isinstance(CATALOG.models[name].source, ApiModel)
]


def generation(wildcards, attempt):
    return RESOURCES.evaluate(
        cell_of(wildcards), wildcards.evalset, "generate", attempt
    )


def tuned_flag(wildcards, input):
    return f"--tuned {input.tuned}" if input.tuned else ""


def batch_size(wildcards, resources):
    return halved(CATALOG.models[wildcards.model].generate.batch_size, resources)


def engine(wildcards, resources):
    return CATALOG.models[wildcards.model].generate.engine


def api_of(wildcards):
    """The endpoint that answers for a model without weights here: a judge of the catalog."""
    return CATALOG.judges[CATALOG.models[wildcards.model].source.endpoint]


rule generate:
    """A cell's responses to an evalset."""
    input:
        model=at(layout.model("{model}")),
        tuned=tuned_model,
        evalset=at(layout.evalset(EVALSET)),
    output:
        at(layout.responses(CELL, EVALSET)),
    log:
        at(layout.log("generate", CELL, EVALSET)),
    wildcard_constraints:
        model=one_of(set(MODELS) - set(API_MODELS)),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **job_resources(generation),
    params:
        config=at(layout.cell_config(CELL)),
        digest=generation_digest,
        tuned=tuned_flag,
        supervised=supervised("generate", generation_digest),
        python=evaluation_launcher,
        gpus=gpus_flag,
        batch_size=batch_size,
        engine=engine,
    shell:
        "{params.supervised} --log {log} -- {params.python} "
        + script("generate")
        + " --config {params.config} --model {input.model} {params.tuned} --evalset {input.evalset} --out {output}"
        " --engine {params.engine} --batch-size {params.batch_size} {params.gpus} 2> {log}"


localrules:
    generate_api,


rule generate_api:
    """The responses of an API model. Runs where the network is; every answer is stored in results/judge_cache.sqlite."""
    input:
        evalset=at(layout.evalset(EVALSET)),
    output:
        at(layout.responses(CELL, EVALSET)),
    log:
        at(layout.log("generate", CELL, EVALSET)),
    wildcard_constraints:
        model=one_of(API_MODELS),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=1, gigabytes=4)),
    params:
        config=at(layout.cell_config(CELL)),
        digest=generation_digest,
        api=lambda wildcards: llm_flags(api_of(wildcards)),
        supervised=supervised(
            "generate",
            lambda wildcards: llm_flags(api_of(wildcards))
            + generation_digest(wildcards),
        ),
        pace=lambda wildcards, resources: pace_flags(api_of(wildcards), CONFIG.preset),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("generate_api")
        + " --config {params.config} --evalset {input.evalset}"
        f" --cache {ANSWER_CACHE}"
        " --out {output} {params.api} {params.pace} 2> {log}"
