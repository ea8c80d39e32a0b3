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
        batch_size=batch_size,
    shell:
        "{params.supervised} --log {log} -- {params.python} workflow/scripts/generate.py --model {input.model} {params.tuned} --evalset {input.evalset}"
        " --template {input.template} --out {output} --batch-size {params.batch_size} {params.settings} 2> {log}"
