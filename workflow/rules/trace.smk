# The training instances that spans and shifted words can have come from, and how often other text is found there.
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


def unrelated(wildcards):
    return CONFIG.traced.unrelated_datasets(cell_of(wildcards), wildcards.evalset)


def unrelated_folders(wildcards):
    names = dict.fromkeys(unrelated(wildcards).values())
    return [folder for name in names for folder in folders_of(name)]


def held_out(wildcards):
    return CONFIG.traced.held_out(cell_of(wildcards), wildcards.evalset)


def held_out_indexes(wildcards):
    names = dict.fromkeys(rest.whole for rest in held_out(wildcards).values())
    return [at(layout.index(name)) for name in names]


def traced(wildcards):
    return CONFIG.traced.traced_datasets(cell_of(wildcards), wildcards.evalset)


def traced_folders(wildcards):
    return [folder for name in traced(wildcards) for folder in folders_of(name)]


def search_flags(names):
    return " ".join(f"--search {name} {' '.join(folders_of(name))}" for name in names)


def shift_of(wildcards):
    """The shift of a tuned cell; a control has none."""
    if wildcards.dataset == NO_DATASET:
        return []
    return at(layout.shift(cell_of(wildcards).name, wildcards.evalset))


def shift_flag(wildcards, input):
    return f"--shift {input.shift}" if input.shift else ""


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


def attribution_flag(wildcards, input):
    return f"--attribution {input.attribution}" if input.attribution else ""


def borrowing_flags(wildcards, input):
    """What is searched, and what it is compared with."""
    flags = [search_flags(searched(wildcards))]
    for name, other in unrelated(wildcards).items():
        flags.append(f"--unrelated {name} {' '.join(folders_of(other))}")
    for name, rest in held_out(wildcards).items():
        flags.append(
            f"--held-out {name} {at(layout.index(rest.whole))} {rest.least} {rest.most}"
        )
    if input.base:
        flags.append(f"--base-responses {input.base}")
    return f"{' '.join(flags)} --neighbors {TRACING.neighbors} --seed {TRACING.seed}"


localrules:
    embeddings,
    trials,


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
        dataset=one_of(CONFIG.traced.embedded_datasets),
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
    """How many phrases of a cell's responses occur in its data, and in what that is compared with."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        shift=shift_of,
        evalset=at(layout.evalset(EVALSET)),
        spans=spans_of,
        searched=searched_folders,
        unrelated=unrelated_folders,
        held_out=held_out_indexes,
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
        shift=shift_flag,
        flags=borrowing_flags,
        supervised=supervised("borrowing"),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("borrowing")
        + " --responses {input.responses} {params.shift} --evalset {input.evalset}"
        " --spans {input.spans} {params.flags} --out {output} 2> {log}"


rule trace:
    """The instances that each span can have come from, by every ranker and by all together."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        shift=shift_of,
        evalset=at(layout.evalset(EVALSET)),
        spans=at(layout.spans(CELL, EVALSET, "{marker}")),
        traced=traced_folders,
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
        shift=shift_flag,
        search=lambda wildcards: search_flags(traced(wildcards)),
        attribution=attribution_flag,
        settings=f"--top {TRACING.top} --seed {TRACING.seed}" if TRACING else "",
        supervised=supervised("trace-{wildcards.marker}"),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("trace_spans")
        + " --responses {input.responses} {params.shift} --evalset {input.evalset} --spans {input.spans}"
        " {params.search} {params.attribution} {params.settings} --out {output} 2> {log}"


rule trials:
    """Made-up answers of a world whose sources are known, and what every ranker takes for these. Runs where the network is."""
    output:
        instances=at(layout.trial_instances("{trial_world}")),
        answers=at(layout.trials("{trial_world}")),
        trace=at(layout.trial_trace("{trial_world}")),
    log:
        at(layout.log("trials", "{trial_world}")),
    wildcard_constraints:
        trial_world=one_of(TRACING.trials if TRACING else []),
    conda:
        "../../envs/closerlook.yaml"
    params:
        settings=(
            f"--embedder {TRACING.embedder} --top {TRACING.top} --seed {TRACING.seed}"
            if TRACING
            else ""
        ),
    shell:
        python("trace_trials")
        + " {wildcards.trial_world} {params.settings} --instances {output.instances} --answers {output.answers}"
        " --trace {output.trace} 2> {log}"
