# Where spans and shifted words can have come from, and what of it chance alone would give.


rule index:
    """What a dataset is searched with: a suffix array of its text, one of its words, BM25. One for all cells tuned on it."""
    input:
        "results/{preset}/data/{dataset}.parquet",
    output:
        directory("results/{preset}/data/index/{dataset}"),
    log:
        "results/{preset}/logs/index/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(CONFIG.traced.indexed_datasets),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(on_cpu(hours=4, gigabytes=32)),
    shell:
        "python workflow/scripts/build_index.py --dataset {input} --out {output} 2> {log}"


rule embeddings:
    """Sentence-BERT vectors of a dataset: its subsets' are the first of them. Runs where the network is: a model may be fetched."""
    input:
        "results/{preset}/data/{dataset}.parquet",
    output:
        directory("results/{preset}/data/embeddings/{dataset}"),
    log:
        "results/{preset}/logs/embeddings/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(CONFIG.traced.indexed_datasets),
    conda:
        "../../envs/closerlook.yaml"
    params:
        embedder=TRACING.embedder if TRACING else "",
    shell:
        "python workflow/scripts/embed.py --dataset {input} --embedder {params.embedder} --out {output} 2> {log}"


localrules:
    embeddings,


rule words:
    """Shifted and marginal words: which instances hold them, and the longest run of words around them."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        shift="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/shift.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        index="results/{preset}/data/index/{dataset}",
        embeddings=own_embeddings,
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/words.parquet",
    log:
        "results/{preset}/logs/words/{model}/{dataset}/{run}/{evalset}.log",
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(watched(hours=4, gigabytes=16)),
    params:
        supervised=supervised("words", lambda wildcards: ""),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/trace_words.py --responses {input.responses} --shift {input.shift}"
        " --evalset {input.evalset} --index {input.index} --embeddings {input.embeddings} --out {output} 2> {log}"


rule borrowing:
    """How many phrases of a cell's responses stand in its data, and how many would by chance."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        shift="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/shift.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        spans=spans_of,
        searched=searched_folders,
        unrelated=unrelated_folders,
        base=base_responses,
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/borrowing.parquet",
    log:
        "results/{preset}/logs/borrowing/{model}/{dataset}/{run}/{evalset}.log",
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(watched(hours=4, gigabytes=32)),
    params:
        asked=borrowing_flags,
        supervised=supervised("borrowing", lambda wildcards: ""),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/borrowing.py --responses {input.responses} --shift {input.shift}"
        " --evalset {input.evalset} --spans {input.spans} {params.asked} --out {output} 2> {log}"


rule trace:
    """The instances that each span can have come from, by every ranker and by all together."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        shift="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/shift.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        spans="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
        index="results/{preset}/data/index/{dataset}",
        embeddings=own_embeddings,
        attribution=attribution_of,
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/trace/{marker}.parquet",
    log:
        "results/{preset}/logs/trace/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(watched(hours=4, gigabytes=16)),
    params:
        attribution=lambda wildcards, input: (
            f"--attribution {input.attribution}" if input.attribution else ""
        ),
        settings=f"--top {TRACING.top} --seed {TRACING.seed}" if TRACING else "",
        supervised=supervised("trace-{wildcards.marker}", lambda wildcards: ""),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/trace_spans.py --responses {input.responses} --shift {input.shift}"
        " --evalset {input.evalset} --spans {input.spans} --index {input.index} --embeddings {input.embeddings}"
        " {params.attribution} {params.settings} --out {output} 2> {log}"
