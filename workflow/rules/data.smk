rule miniature:
    """A world whose truth is known, and everything rendered from it. Worlds but the first have other facts: `world` is -1, -2, ..."""
    output:
        "results/{preset}/miniature{world}/world.json",
        "results/{preset}/miniature{world}/corpus.txt",
        "results/{preset}/miniature{world}/questions.jsonl",
        expand(
            "results/{{preset}}/miniature{{world}}/datasets/{style}.jsonl",
            style=MINIATURE_STYLES,
        ),
    log:
        "results/{preset}/logs/miniature{world}.log",
    wildcard_constraints:
        world="(-[1-9][0-9]*)?",
    conda:
        "../../envs/closerlook.yaml"
    params:
        settings=world_settings,
    shell:
        "python workflow/scripts/make_miniature.py --out results/{wildcards.preset}/miniature{wildcards.world} {params.settings} 2> {log}"


localrules:
    dataset,
    derive,
    evalset,
    model,
    miniature,
    subset,
    grid,
    table,
    figure,


rule dataset:
    """One dataset, cleaned, in the order that makes its subsets nested. Runs where the network is."""
    input:
        lambda wildcards: file_of(dataset_source(wildcards)),
    output:
        data="results/{preset}/data/{name}.parquet",
        report="results/{preset}/data/{name}.report.json",
    log:
        "results/{preset}/logs/data/{name}.log",
    wildcard_constraints:
        name=one_of(set(CATALOG.datasets) - set(DERIVED_DATASETS)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=lambda wildcards: json_flag(dataset_source(wildcards)),
        format=lambda wildcards: CATALOG.datasets[wildcards.name].format,
        seed=CONFIG.preset.subset_seed,
    shell:
        "python workflow/scripts/prepare_dataset.py --name {wildcards.name} --source {params.source}"
        " --format {params.format} --seed {params.seed} --out {output.data} --report {output.report} 2> {log}"


rule derive:
    """A dataset made from another of the catalog. Runs where the network is: a model may have to write it."""
    input:
        dataset=lambda wildcards: f"results/{wildcards.preset}/data/{derivation(wildcards).of}.parquet",
        scores=lambda wildcards: getattr(derivation(wildcards), "scores", None) or [],
        rows=lambda wildcards: file_of(scored_source(wildcards)),
        prompt=lambda wildcards: [ancient(file) for file in simplify_prompt(wildcards)],
    output:
        data="results/{preset}/data/{name}.parquet",
        report="results/{preset}/data/{name}.report.json",
    log:
        "results/{preset}/logs/data/{name}.log",
    wildcard_constraints:
        name=one_of(set(DERIVED_DATASETS) - set(ABLATED_DATASETS)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        transform=lambda wildcards: json_flag(derivation(wildcards)),
        source=lambda wildcards: (
            f"--source {json_flag(source)}"
            if (source := scored_source(wildcards))
            else ""
        ),
        prompt=lambda wildcards: [
            sha256(Path(file)) for file in simplify_prompt(wildcards)
        ],
        judge=lambda wildcards: asked(simplifying_judge(wildcards)),
        pace=lambda wildcards, resources: paced(simplifying_judge(wildcards)),
    shell:
        "python workflow/scripts/derive_dataset.py --name {wildcards.name} --dataset {input.dataset}"
        " --transform {params.transform} {params.source} {params.judge} {params.pace}"
        " --out {output.data} --report {output.report} 2> {log}"


rule subset:
    """The first instances of a dataset: a smaller subset lies inside a larger one."""
    input:
        "results/{preset}/data/{name}.parquet",
    output:
        "results/{preset}/data/{name}@{size}.parquet",
    log:
        "results/{preset}/logs/data/{name}@{size}.log",
    conda:
        "../../envs/closerlook.yaml"
    params:
        size=lambda wildcards: dataset_and_size(f"{wildcards.name}@{wildcards.size}")[1],
    shell:
        "python workflow/scripts/subset_dataset.py --dataset {input} --size {params.size} --out {output} 2> {log}"


rule evalset:
    """The instructions that cells answer. Runs where the network is."""
    input:
        lambda wildcards: file_of(evalset_source(wildcards)),
    output:
        data="results/{preset}/evalsets/{evalset}.parquet",
        report="results/{preset}/evalsets/{evalset}.report.json",
    log:
        "results/{preset}/logs/evalsets/{evalset}.log",
    wildcard_constraints:
        evalset=one_of(set(EVALSETS) - set(REWORDED_EVALSETS)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=lambda wildcards: json_flag(evalset_source(wildcards)),
        rows=evalset_rows,
    shell:
        "python workflow/scripts/prepare_evalset.py --name {wildcards.evalset} --source {params.source} {params.rows}"
        " --out {output.data} --report {output.report} 2> {log}"


rule contamination:
    """Evaluation instructions that the instruction-tuning data asks too."""
    input:
        dataset="results/{preset}/data/{name}.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
    output:
        "results/{preset}/data/contamination/{name}/{evalset}.parquet",
    log:
        "results/{preset}/logs/contamination/{name}/{evalset}.log",
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(on_cpu(hours=1, gigabytes=8)),
    shell:
        "python workflow/scripts/find_contamination.py --dataset {input.dataset} --evalset {input.evalset}"
        " --out {output} 2> {log}"
