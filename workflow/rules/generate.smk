rule generate:
    """A cell's responses to an evalset."""
    input:
        model="results/{preset}/models/{model}",
        tuned=tuned_model,
        evalset="results/{preset}/evalsets/{evalset}.parquet",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
    log:
        "results/{preset}/logs/generate/{model}/{dataset}/{run}/{evalset}.log",
    wildcard_constraints:
        model=one_of(set(MODELS) - set(ENDPOINT_MODELS)),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **asks(generation),
    params:
        tuned=lambda wildcards, input: f"--tuned {input.tuned}" if input.tuned else "",
        config=CELL_CONFIG,
        digest=generation_digest,
        supervised=supervised("generate", generation_digest),
        python=evaluation_program,
        spread=spread,
        batch_size=batch_size,
    shell:
        "{params.supervised} --log {log} -- {params.python} workflow/scripts/generate.py --config {params.config}"
        " --model {input.model} {params.tuned} --evalset {input.evalset} --out {output}"
        " --batch-size {params.batch_size} {params.spread} 2> {log}"


localrules:
    answer,


rule answer:
    """The responses of a model behind an endpoint. Runs where the network is; every answer is kept in results/judge_cache.sqlite."""
    input:
        evalset="results/{preset}/evalsets/{evalset}.parquet",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
    log:
        "results/{preset}/logs/generate/{model}/{dataset}/{run}/{evalset}.log",
    wildcard_constraints:
        model=one_of(ENDPOINT_MODELS),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(answering),
    params:
        asked=lambda wildcards: asked(answering_judge(wildcards)),
        config=CELL_CONFIG,
        digest=generation_digest,
        supervised=supervised("generate", answer_identity),
        pace=lambda wildcards, resources: paced(answering_judge(wildcards)),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/answer.py --evalset {input.evalset}"
        " --config {params.config} --cache results/judge_cache.sqlite"
        " --out {output} {params.asked} {params.pace} 2> {log}"
