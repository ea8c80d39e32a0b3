# Tests of what the traces say: training without the traced instances, asking in other words, how likely a span is to whom, gradients.
localrules:
    leave_out,
    paraphrase,
    cases,


rule leave_out:
    """A dataset without the instances that spans of a cell were traced to, or without as many similar ones, for control."""
    input:
        dataset=lambda wildcards: f"results/{PRESET}/data/{ablated_dataset(wildcards)}.parquet",
        evalset=lambda wildcards: f"results/{PRESET}/evalsets/{ablation_of(wildcards).evalset}.parquet",
        responses=lambda wildcards: f"{ablated_folder(wildcards)}/responses.parquet",
        spans=lambda wildcards: f"{ablated_folder(wildcards)}/spans/{ablation_of(wildcards).marker}.parquet",
        trace=lambda wildcards: f"{ablated_folder(wildcards)}/trace/{ablation_of(wildcards).marker}.parquet",
        index=lambda wildcards: f"results/{PRESET}/data/index/{ablated_dataset(wildcards)}",
        embeddings=lambda wildcards: embeddings_of(ablated_dataset(wildcards)),
    output:
        data="results/{preset}/data/{name}.parquet",
        report="results/{preset}/data/{name}.report.json",
    log:
        "results/{preset}/logs/data/{name}.log",
    wildcard_constraints:
        name=one_of(ABLATED_DATASETS),
    conda:
        "../../envs/closerlook.yaml"
    params:
        transform=lambda wildcards: json_flag(derivation(wildcards)),
    shell:
        "python workflow/scripts/derive_dataset.py --name {wildcards.name} --dataset {input.dataset} --transform {params.transform}"
        " --evalset {input.evalset} --responses {input.responses} --spans {input.spans} --trace {input.trace}"
        " --index {input.index} --embeddings {input.embeddings} --out {output.data} --report {output.report} 2> {log}"


rule paraphrase:
    """An evalset in other words. Runs where the network is: a model may have to write them."""
    input:
        evalset=lambda wildcards: f"results/{PRESET}/evalsets/{paraphrase_source(wildcards).of}.parquet",
        prompt=lambda wildcards: [
            ancient(file) for file in paraphrase_prompt(wildcards)
        ],
    output:
        data="results/{preset}/evalsets/{evalset}.parquet",
        report="results/{preset}/evalsets/{evalset}.report.json",
    log:
        "results/{preset}/logs/evalsets/{evalset}.log",
    wildcard_constraints:
        evalset=one_of(REWORDED_EVALSETS),
    conda:
        "../../envs/closerlook.yaml"
    params:
        transform=lambda wildcards: json_flag(paraphrase_source(wildcards)),
        prompt=lambda wildcards: [
            sha256(Path(file)) for file in paraphrase_prompt(wildcards)
        ],
        judge=lambda wildcards: asked(paraphrase_judge(wildcards)),
        pace=lambda wildcards, resources: paced(paraphrase_judge(wildcards)),
    shell:
        "python workflow/scripts/derive_evalset.py --name {wildcards.evalset} --evalset {input.evalset}"
        " --transform {params.transform} {params.judge} {params.pace} --out {output.data} --report {output.report} 2> {log}"


rule likelihood:
    """How likely each span is to the base model and to every model tuned on the same data."""
    input:
        base="results/{preset}/models/{model}",
        peers=lambda wildcards: peers_of(wildcards).values(),
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        spans="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/likelihood/{marker}.parquet",
    log:
        "results/{preset}/logs/likelihood/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **asks(working("likelihood", "likelihood-{marker}")),
    params:
        peers=lambda wildcards: " ".join(
            f"{run}={model}" for run, model in peers_of(wildcards).items()
        ),
        supervised=supervised("likelihood-{wildcards.marker}", lambda wildcards: ""),
        spread=spread,
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/span_likelihood.py --base {input.base} --models {params.peers}"
        " --responses {input.responses} --spans {input.spans} {params.spread} --out {output} 2> {log}"


rule attribution:
    """The instances whose gradients speak most for each span."""
    input:
        base="results/{preset}/models/{model}",
        tuned=tuned_model,
        data="results/{preset}/data/{dataset}.parquet",
        template=lambda wildcards: ancient(template_file(wildcards)),
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        spans="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/attribution/{marker}.parquet",
    log:
        "results/{preset}/logs/attribution/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **asks(working("attribution", "attribution-{marker}")),
    params:
        top=TRACING.top if TRACING else 0,
        supervised=supervised("attribution-{wildcards.marker}", lambda wildcards: ""),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/attribute_spans.py --base {input.base} --model {input.tuned}"
        " --data {input.data} --template {input.template} --responses {input.responses} --spans {input.spans}"
        " --top {params.top} --out {output} 2> {log}"


rule cases:
    """Some spans of a cell for people to read: the instruction, both answers, the source and other candidates (Tables 6 to 8)."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        spans="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
        trace="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/trace/{marker}.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        data="results/{preset}/data/{dataset}.parquet",
        peers=lambda wildcards: peer_responses(wildcards).values(),
        paraphrases=paraphrase_files,
    output:
        report(
            "results/{preset}/cases/{model}/{dataset}/{run}/{evalset}/{marker}.md",
            category="Cases",
            labels=case_labels,
        ),
    log:
        "results/{preset}/logs/cases/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    conda:
        "../../envs/closerlook.yaml"
    params:
        peers=lambda wildcards: " ".join(
            f"{run}={file}" for run, file in peer_responses(wildcards).items()
        ),
        paraphrases=lambda wildcards, input: (
            f"--paraphrases {input.paraphrases}" if input.paraphrases else ""
        ),
        seed=TRACING.seed if TRACING else 0,
    shell:
        "python workflow/scripts/cases.py --title {wildcards.model}/{wildcards.dataset}/{wildcards.run} --run {wildcards.run}"
        " --spans {input.spans} --trace {input.trace} --responses {input.responses} --evalset {input.evalset} --data {input.data}"
        " --peers {params.peers} {params.paraphrases} --seed {params.seed} --out {output} 2> {log}"
