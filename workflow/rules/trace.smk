# The training instances that spans and shifted words can have come from, and how many would be found by chance.
TRACING = CONFIG.preset.tracing


def embeddings_of(dataset):
    """Those of the largest subset that is searched: the first of them are those of every smaller one."""
    return at(layout.embeddings(CONFIG.traced.largest_subset(dataset)))


def folders_of(dataset):
    """What a dataset is searched with."""
    return [at(layout.index(dataset)), embeddings_of(dataset)]


def searched(wildcards):
    return CONFIG.traced.searched_datasets(cell_of(wildcards), wildcards.evalset)


def searched_folders(wildcards):
    return [folder for name in searched(wildcards) for folder in folders_of(name)]


def unrelated_folders(wildcards):
    name = CONFIG.traced.unrelated_dataset(cell_of(wildcards))
    return folders_of(name) if name else []


def base_responses(wildcards):
    base = CONFIG.traced.base_cell(cell_of(wildcards), wildcards.evalset)
    return at(layout.responses(base, wildcards.evalset)) if base else []


def spans_of(wildcards):
    cell = cell_of(wildcards)
    markers = CONFIG.traced.markers(cell, wildcards.evalset)
    return [at(layout.spans(cell.name, wildcards.evalset, name)) for name in markers]


def attribution_of(wildcards):
    cell = cell_of(wildcards).name
    if cell not in TRACING.attribution:
        return []
    return at(layout.attribution(cell, wildcards.evalset, wildcards.marker))


def borrowing_flags(wildcards, input):
    """What is searched, and compared with which chance level."""
    flags = [
        f"--search {name} {' '.join(folders_of(name))}" for name in searched(wildcards)
    ]
    if input.unrelated:
        flags.append(f"--unrelated {input.unrelated}")
    if input.base:
        flags.append(f"--base-responses {input.base}")
    return f"{' '.join(flags)} --neighbors {TRACING.neighbors} --seed {TRACING.seed}"


localrules:
    embeddings,


rule index:
    """What a dataset is searched with: suffix arrays of its text and of its words, and BM25. One for all cells tuned on it."""
    input:
        at(layout.dataset("{dataset}")),
    output:
        directory(at(layout.index("{dataset}"))),
    log:
        at(layout.log("index", "{dataset}")),
    wildcard_constraints:
        dataset=one_of(CONFIG.traced.indexed_datasets),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(cpu_job(hours=4, gigabytes=32)),
    shell:
        python("build_index") + " --dataset {input} --out {output} 2> {log}"


rule embeddings:
    """Sentence-BERT vectors of a dataset; a subset's are the first of them. Runs where the network is: a model may be fetched."""
    input:
        at(layout.dataset("{dataset}")),
    output:
        directory(at(layout.embeddings("{dataset}"))),
    log:
        at(layout.log("embeddings", "{dataset}")),
    wildcard_constraints:
        dataset=one_of(CONFIG.traced.indexed_datasets),
    conda:
        "../../envs/closerlook.yaml"
    params:
        embedder=TRACING.embedder if TRACING else "",
    shell:
        python("embed")
        + " --dataset {input} --embedder {params.embedder} --out {output} 2> {log}"


rule words:
    """Shifted and marginal words: which instances contain them, and the longest run of words around them."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        shift=at(layout.shift(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        index=at(layout.index("{dataset}")),
        embeddings=lambda wildcards: embeddings_of(wildcards.dataset),
    output:
        at(layout.words(CELL, EVALSET)),
    log:
        at(layout.log("words", CELL, EVALSET)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=4, gigabytes=16)),
    params:
        supervised=supervised("words"),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("trace_words")
        + " --responses {input.responses} --shift {input.shift} --evalset {input.evalset}"
        " --index {input.index} --embeddings {input.embeddings} --out {output} 2> {log}"


rule borrowing:
    """How many phrases of a cell's responses occur in its data, and how many would by chance."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        shift=at(layout.shift(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        spans=spans_of,
        searched=searched_folders,
        unrelated=unrelated_folders,
        base=base_responses,
    output:
        at(layout.borrowing(CELL, EVALSET)),
    log:
        at(layout.log("borrowing", CELL, EVALSET)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=4, gigabytes=32)),
    params:
        flags=borrowing_flags,
        supervised=supervised("borrowing"),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("borrowing")
        + " --responses {input.responses} --shift {input.shift} --evalset {input.evalset}"
        " --spans {input.spans} {params.flags} --out {output} 2> {log}"


rule trace:
    """The instances that each span can have come from, by every ranker and by all together."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        shift=at(layout.shift(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        spans=at(layout.spans(CELL, EVALSET, "{marker}")),
        index=at(layout.index("{dataset}")),
        embeddings=lambda wildcards: embeddings_of(wildcards.dataset),
        attribution=attribution_of,
    output:
        at(layout.trace(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("trace", CELL, EVALSET, "{marker}")),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=4, gigabytes=16)),
    params:
        attribution=lambda wildcards, input: (
            f"--attribution {input.attribution}" if input.attribution else ""
        ),
        settings=f"--top {TRACING.top} --seed {TRACING.seed}" if TRACING else "",
        supervised=supervised("trace-{wildcards.marker}"),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("trace_spans")
        + " --responses {input.responses} --shift {input.shift} --evalset {input.evalset} --spans {input.spans}"
        " --index {input.index} --embeddings {input.embeddings} {params.attribution} {params.settings} --out {output} 2> {log}"
