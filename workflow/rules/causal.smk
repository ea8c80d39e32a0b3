# Causal evidence for a span's origin: its likelihood under other models, gradients of instances, case sheets for people.
def peers_of(wildcards):
    """The models tuned on the same data, by their run."""
    return {
        peer.run: at(layout.tuned_model(peer.name))
        for peer in CONFIG.traced.peers(cell_of(wildcards))
    }


def peer_responses(wildcards):
    """Responses of the other cells tuned on the same data, by their run."""
    evalset, cell = wildcards.evalset, cell_of(wildcards)
    return {
        peer.run: at(layout.responses(peer.name, evalset))
        for peer in CONFIG.traced.peers(cell)
        if peer != cell and evalset in CONFIG.cells[peer]
    }


def retrained(wildcards):
    """The models tuned on parts of a cell's dataset, by their cell."""
    return {
        other.name: at(layout.tuned_model(other.name))
        for other in CONFIG.traced.retrained(cell_of(wildcards))
    }


def named(files):
    """Files by name, as flags take them."""
    return " ".join(f"{name}={file}" for name, file in files.items())


def paraphrase_files(wildcards):
    """A paraphrase of the evalset and the cell's responses to it, where there is one."""
    cell = cell_of(wildcards)
    return [
        file
        for name in CONFIG.traced.paraphrases(cell, wildcards.evalset)[:1]
        for file in (at(layout.evalset(name)), at(layout.responses(cell.name, name)))
    ]


def case_labels(wildcards):
    return {
        "cell": cell_of(wildcards).name,
        "evalset": wildcards.evalset,
        "marker": wildcards.marker,
    }


CASE_FILES = [
    at(layout.cases(row["cell"], row["evalset"], marker))
    for row in GRID
    if row["dataset"] and row["searched"]
    for marker in row["markers"]
]


localrules:
    cases,


rule likelihood:
    """How likely each span is under the base model and under every model tuned on the same data."""
    input:
        base=at(layout.model("{model}")),
        peers=lambda wildcards: peers_of(wildcards).values(),
        responses=at(layout.responses(CELL, EVALSET)),
        spans=at(layout.spans(CELL, EVALSET, "{marker}")),
    output:
        at(layout.likelihood(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("likelihood", CELL, EVALSET, "{marker}")),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **job_resources(model_job("likelihood", "likelihood-{marker}")),
    params:
        peers=lambda wildcards: named(peers_of(wildcards)),
        supervised=supervised("likelihood-{wildcards.marker}"),
        gpus=gpus_flag,
        batch_tokens=batch_tokens,
    shell:
        "{params.supervised} --log {log} -- python "
        + script("span_likelihood")
        + " --base {input.base} --models {params.peers} --responses {input.responses} --spans {input.spans}"
        " --batch-tokens {params.batch_tokens} {params.gpus} --out {output} 2> {log}"


use rule likelihood as retrained with:
    input:
        base=at(layout.model("{model}")),
        peers=lambda wildcards: retrained(wildcards).values(),
        responses=at(layout.responses(CELL, EVALSET)),
        spans=at(layout.spans(CELL, EVALSET, "{marker}")),
    output:
        at(layout.retrained(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("retrained", CELL, EVALSET, "{marker}")),
    resources:
        **job_resources(model_job("retrained", "retrained-{marker}")),
    params:
        peers=lambda wildcards: named(retrained(wildcards)),
        supervised=supervised("retrained-{wildcards.marker}"),


rule instance_scores:
    """Every ranker's score of every instance for each span, which the models tuned on parts of the dataset put to the test."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        spans=at(layout.spans(CELL, EVALSET, "{marker}")),
        index=at(layout.index("{dataset}")),
        embeddings=lambda wildcards: embeddings_of(wildcards.dataset),
        attribution=attribution_of,
    output:
        at(layout.instance_scores(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("instance_scores", CELL, EVALSET, "{marker}")),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=4, gigabytes=16)),
    params:
        attribution=attribution_flag,
        supervised=supervised("instance_scores-{wildcards.marker}"),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("score_instances")
        + " --responses {input.responses} --evalset {input.evalset} --spans {input.spans}"
        " --index {input.index} --embeddings {input.embeddings} {params.attribution} --out {output} 2> {log}"


rule attribution:
    """Instances ranked by how much their gradients support each span."""
    input:
        base=at(layout.model("{model}")),
        tuned=tuned_model,
        data=at(layout.dataset("{dataset}")),
        responses=at(layout.responses(CELL, EVALSET)),
        spans=at(layout.spans(CELL, EVALSET, "{marker}")),
    output:
        at(layout.attribution(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("attribution", CELL, EVALSET, "{marker}")),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **job_resources(model_job("attribution", "attribution-{marker}")),
    params:
        template=lambda wildcards: CATALOG.templates[
            CONFIG.template_name(cell_of(wildcards))
        ].file,
        top=lambda wildcards: CONFIG.traced.kept_by_attribution(cell_of(wildcards)),
        supervised=supervised("attribution-{wildcards.marker}"),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("attribute_spans")
        + " --base {input.base} --model {input.tuned} --data {input.data} --template {params.template:q}"
        " --responses {input.responses} --spans {input.spans} --top {params.top} --out {output} 2> {log}"


rule cases:
    """Some spans of a cell for people to read: the instruction, both answers, the source and other candidates (Tables 6 to 8)."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        spans=at(layout.spans(CELL, EVALSET, "{marker}")),
        trace=at(layout.trace(CELL, EVALSET, "{marker}")),
        evalset=at(layout.evalset(EVALSET)),
        data=at(layout.dataset("{dataset}")),
        peers=lambda wildcards: peer_responses(wildcards).values(),
        paraphrases=paraphrase_files,
    output:
        report(
            at(layout.cases(CELL, EVALSET, "{marker}")),
            category="Cases",
            labels=case_labels,
        ),
    log:
        at(layout.log("cases", CELL, EVALSET, "{marker}")),
    conda:
        "../../envs/closerlook.yaml"
    params:
        cell=CELL,
        peers=lambda wildcards: named(peer_responses(wildcards)),
        paraphrases=lambda wildcards, input: (
            f"--paraphrases {input.paraphrases}" if input.paraphrases else ""
        ),
        seed=TRACING.seed if TRACING else 0,
    shell:
        python("cases")
        + " --title {params.cell} --run {wildcards.run} --spans {input.spans} --trace {input.trace}"
        " --responses {input.responses} --evalset {input.evalset} --data {input.data} --peers {params.peers}"
        " {params.paraphrases} --seed {params.seed} --out {output} 2> {log}"
