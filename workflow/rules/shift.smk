# How far tuning moved each response token's distribution.
def measuring_shift(wildcards, attempt):
    return RESOURCES.evaluate(cell_of(wildcards), wildcards.evalset, "shift", attempt)


def batch_tokens(wildcards, resources):
    return halved(CATALOG.models[wildcards.model].generate.batch_tokens, resources)


rule shift:
    """How far each response token's distribution moved from the base model's."""
    input:
        base=at(layout.model("{model}")),
        tuned=at(layout.tuned_model(CELL)),
        responses=at(layout.responses(CELL, EVALSET)),
    output:
        at(layout.shift(CELL, EVALSET)),
    log:
        at(layout.log("shift", CELL, EVALSET)),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **job_resources(measuring_shift),
    params:
        supervised=supervised("shift"),
        python=evaluation_launcher,
        gpus=gpus_flag,
        batch_tokens=batch_tokens,
    shell:
        "{params.supervised} --log {log} -- {params.python} "
        + script("shift")
        + " --base {input.base} --tuned {input.tuned} --responses {input.responses} --out {output}"
        " --batch-tokens {params.batch_tokens} {params.gpus} 2> {log}"
