rule train:
    """Train one cell. Its identity is the digest of its config.json: Snakemake trains again when that changes, and only then."""
    input:
        model="results/{preset}/models/{model}",
        data="results/{preset}/data/{dataset}.parquet",
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
        config=CELL_CONFIG,
        digest=training_digest,
        supervised=supervised("train", training_digest),
        python=train_program,
        engine=engine_flags,
    shell:
        "{params.supervised} --log {log} -- {params.python} workflow/scripts/train.py"
        " --config {params.config} --digest {params.digest} --model {input.model} --data {input.data}"
        " --out results/{wildcards.preset}/cells/{wildcards.model}/{wildcards.dataset}/{wildcards.run}"
        " {params.engine} 2> {log}"
