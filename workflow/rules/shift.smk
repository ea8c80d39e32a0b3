rule shift:
    """How far each response token's distribution moved from the base model's."""
    input:
        base="results/{preset}/models/{model}",
        tuned="results/{preset}/cells/{model}/{dataset}/{run}/model",
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/shift.parquet",
    log:
        "results/{preset}/logs/shift/{model}/{dataset}/{run}/{evalset}.log",
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **asks(measuring_shift),
    params:
        supervised=supervised("shift", lambda wildcards: ""),
        python=evaluation_program,
        spread=spread,
    shell:
        "{params.supervised} --log {log} -- {params.python} workflow/scripts/shift.py --base {input.base} --tuned {input.tuned} --responses {input.responses}"
        " --out {output} {params.spread} 2> {log}"
