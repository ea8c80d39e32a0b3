rule train:
    """One cell. `params.settings` is its identity: Snakemake trains again when it changes, and only then."""
    input:
        model="results/{preset}/models/{model}",
        data="results/{preset}/data/{dataset}.parquet",
        template=lambda wildcards: ancient(template_file(wildcards)),
    output:
        model=directory("results/{preset}/cells/{model}/{dataset}/{run}/model"),
        log="results/{preset}/cells/{model}/{dataset}/{run}/train_log.jsonl",
        manifest=report(
            "results/{preset}/cells/{model}/{dataset}/{run}/manifest.json",
            caption="../report/cell.rst",
            category="Trained cells",
            subcategory="{model}",
            labels=cell_labels,
        ),
    log:
        "results/{preset}/logs/train/{model}/{dataset}/{run}.log",
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **asks(training),
    params:
        settings=lambda wildcards: as_flags(CONFIG.train_settings(cell_of(wildcards))),
        template=lambda wildcards: CONFIG.template_digest(cell_of(wildcards)),
        supervised=supervised(
            "train",
            lambda wildcards: as_flags(CONFIG.train_settings(cell_of(wildcards)))
            + CONFIG.template_digest(cell_of(wildcards)),
        ),
        python=train_program,
        engine=engine_flags,
    shell:
        "{params.supervised} --log {log} -- {params.python} workflow/scripts/train.py"
        " --model {input.model} --data {input.data} --template {input.template}"
        " --out results/{wildcards.preset}/cells/{wildcards.model}/{wildcards.dataset}/{wildcards.run}"
        " {params.settings} {params.engine} 2> {log}"
