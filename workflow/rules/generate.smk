rule generate:
    """A cell's responses to an evalset."""
    input:
        model="results/{preset}/models/{model}",
        tuned=tuned_model,
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        template=lambda wildcards: ancient(template_file(wildcards)),
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
        settings=lambda wildcards: as_flags(
            CONFIG.generate_settings(cell_of(wildcards))
        ),
        template=lambda wildcards: CONFIG.template_digest(cell_of(wildcards)),
        supervised=supervised(
            "generate",
            lambda wildcards: as_flags(CONFIG.generate_settings(cell_of(wildcards)))
            + CONFIG.template_digest(cell_of(wildcards)),
        ),
        python=evaluation_program,
        spread=spread,
        batch_size=batch_size,
    shell:
        "{params.supervised} --log {log} -- {params.python} workflow/scripts/generate.py --model {input.model} {params.tuned} --evalset {input.evalset}"
        " --template {input.template} --out {output} --batch-size {params.batch_size} {params.spread} {params.settings} 2> {log}"


localrules:
    generate_api,


rule generate_api:
    """The responses of a model behind an endpoint. Runs where the network is; every answer is kept in results/judge_cache.sqlite."""
    input:
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        template=lambda wildcards: ancient(template_file(wildcards)),
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
        template=lambda wildcards: CONFIG.template_digest(cell_of(wildcards)),
        max_new_tokens=CONFIG.preset.generate.max_new_tokens,
        supervised=supervised("generate", answer_identity),
        pace=lambda wildcards, resources: paced(answering_judge(wildcards)),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/generate_api.py --evalset {input.evalset}"
        " --template {input.template} --max-new-tokens {params.max_new_tokens} --cache results/judge_cache.sqlite"
        " --out {output} {params.asked} {params.pace} 2> {log}"
